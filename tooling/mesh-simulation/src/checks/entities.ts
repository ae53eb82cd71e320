/** What holds of each entity's log, whatever anybody was told. */
import type { Logs, LogMessage } from './log-view.ts';

type Say = (breach: string) => void;

/** I1: versions have no gaps, and each is the result of one command. */
export function checkVersions({ entities }: Logs, say: Say): void {
  for (const { agent, entity, messages } of entities) {
    let highest = 0;
    for (const { event, kind, version } of messages) {
      const what = `${agent} ${entity}: ${event} with version ${version}`;
      if (kind === 'commit') {
        if (version !== highest + 1) say(`I1: ${what} follows version ${highest}`);
        highest = Math.max(highest, version);
      } else if (kind === 'unchanged' && version !== highest)
        say(`I1: ${what} repeats another version than ${highest}`);
      else if (kind === 'expiry' && version > highest) say(`I1: ${what} ends a lease that nobody set`);
    }
  }
}

interface StockState {
  total: number;
  commands: number;
}

/** Each state is what its command makes of the one before: no update is lost. */
export function checkStates({ entities }: Logs, say: Say): void {
  for (const { agent, entity, messages } of entities) {
    if (agent !== 'stock') continue;
    let state: StockState | null = null;
    for (const { data, event, kind, state: found, version } of messages) {
      if (kind !== 'commit') continue;
      const { commands, total }: StockState = state ?? { total: 0, commands: 0 };
      state = event === 'closed' ? null : { total: total + Number(data['by']), commands: commands + 1 };
      if (JSON.stringify(state) !== JSON.stringify(found)) {
        say(
          `stock ${entity}, version ${version}: ${JSON.stringify(found)} does not follow, expected ${JSON.stringify(state)}`,
        );
      }
      state = found as StockState | null;
    }
  }
}

interface Holder {
  token: number;
  owner: string;
  version: number;
  endsAt: number;
}

interface LockState {
  owner_id: string | null;
  fencing_token: number;
  expires_at: string;
}

/** I7: tokens of grants only grow, one lease stands at a time, and none ends early. */
export function checkLocks({ entities }: Logs, say: Say): void {
  for (const { agent, entity, messages } of entities) {
    if (agent !== 'lock') continue;
    let holder: Holder | undefined;
    let lastToken = 0;
    let highest = 0;
    for (const message of messages) {
      const { at, event, kind, state, version } = message;
      if (kind === 'record' || kind === 'unchanged') continue;
      const what = `lock ${entity}, version ${version}`;
      if (kind === 'expiry') {
        if (version !== highest || holder === undefined) continue;
        if (at < holder.endsAt) say(`I7: ${what}: the lease ends ${holder.endsAt - at} ms early`);
        holder = undefined;
        continue;
      }
      highest = version;
      if (event !== 'acquired') {
        holder = undefined;
        continue;
      }
      const { expires_at: endsAt, fencing_token: token, owner_id: owner } = state as LockState;
      if (holder !== undefined && holder.token !== token) {
        say(`I7: ${what}: granted to ${owner} with token ${token}, while ${holder.owner} holds token ${holder.token}`);
      }
      if (holder !== undefined && holder.token === token && holder.owner !== owner) {
        say(`I7: ${what}: ${owner} refreshes the lease of ${holder.owner}`);
      }
      if (holder === undefined && token <= lastToken) say(`I7: ${what}: token ${token} comes after ${lastToken}`);
      lastToken = Math.max(lastToken, token);
      holder = { token, owner: owner ?? '', version, endsAt: Date.parse(endsAt) };
    }
  }
}

/** I6: what says that something was committed comes from the server alone. */
export function checkEvents(spoken: readonly { subject: string; at: number }[], say: Say): void {
  for (const { at, subject } of spoken) {
    const event = subject.split('.')[2] ?? '';
    const isSignal = ['conflict', 'rejected', 'denied'].includes(event) || subject === 'evt.lock.lost';
    if (!isSignal) say(`I6: a process itself says ${subject}, at ${at}`);
  }
}

/** Each event of `stock` leads to one note, and those of one entity come in order. */
export function checkReaction({ entities }: Logs, say: Say): void {
  const notes = new Map<string, LogMessage[]>();
  for (const { agent, messages } of entities) {
    if (agent !== 'journal') continue;
    let last = 0;
    for (const message of messages) {
      if (message.kind !== 'commit') continue;
      const version = Number(message.data['version']);
      if (version <= last) say(`reaction: ${message.entity} notes version ${version} after ${last}`);
      last = version;
      const key = `${message.entity} ${version}`;
      notes.set(key, [...(notes.get(key) ?? []), message]);
    }
  }
  for (const { agent, entity, messages } of entities) {
    if (agent !== 'stock') continue;
    for (const { commandId, kind, version } of messages) {
      if (kind !== 'commit') continue;
      const found = notes.get(`of-${entity} ${version}`) ?? [];
      if (found.length !== 1) say(`reaction: version ${version} of ${entity} has ${found.length} notes`);
      const [note] = found;
      if (note !== undefined && note.causationId !== commandId) {
        say(`reaction: the note of version ${version} of ${entity} names ${note.causationId}, not ${commandId}`);
      }
    }
  }
}
