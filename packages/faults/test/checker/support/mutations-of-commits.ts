/** I1, I2, I3, I5: what can be wrong between commands, their answers and the log. */
import type { Entry, Logged, Sent } from '../../../src/history.ts';
import type { Mutation } from './mutations.ts';
import type { View } from './view.ts';

const STOCK = 'inventory';

export const commitMutations: readonly Mutation[] = [
  {
    name: 'a version is skipped',
    invariant: 'I1',
    spoil: (view, pick) => shifted(view, pick(view.commits(STOCK)), 1),
  },
  {
    name: 'a version is repeated',
    invariant: 'I1',
    spoil: (view, pick) => shifted(view, pick(view.commits(STOCK).filter(({ version }) => version > 1)), -1),
  },
  {
    name: 'a commit has another state than the rules make',
    invariant: 'I1',
    spoil(view, pick) {
      const entry = pick(view.commits(STOCK).filter(({ state }) => state !== null));
      if (entry === undefined) return undefined;
      const wrong: Logged = { ...entry, state: { ...entry.state, quantity: Number(entry.state?.['quantity']) + 1 } };
      return { entries: view.replace(entry, wrong), culprits: [wrong, view.sentOf(entry.commandId)] };
    },
  },
  {
    name: 'a deleted entity lives on',
    invariant: 'I1',
    spoil(view, pick) {
      const entry = pick(view.commits(STOCK).filter(({ state }) => state === null));
      if (entry === undefined) return undefined;
      const wrong: Logged = { ...entry, state: { name: 'bolt', quantity: 0, reserved: 0, reservations: {} } };
      return { entries: view.replace(entry, wrong), culprits: [wrong] };
    },
  },
  {
    name: 'a commit tells of other data than the command had',
    invariant: 'I1',
    spoil(view, pick) {
      const entry = pick(view.commits(STOCK).filter(({ data }) => data !== undefined));
      if (entry === undefined) return undefined;
      const wrong: Logged = { ...entry, data: { ...entry.data, more: 1 } };
      return { entries: view.replace(entry, wrong), culprits: [wrong] };
    },
  },
  {
    name: 'a lock is granted as of another time than that of the log',
    invariant: 'I1',
    spoil(view, pick) {
      const entry = pick(view.commits('lock').filter(({ version }) => version === 1));
      if (entry === undefined) return undefined;
      const wrong: Logged = { ...entry, time: new Date(Date.parse(entry.time) - 60_000).toISOString() };
      return { entries: view.replace(entry, wrong), culprits: [wrong] };
    },
  },
  {
    name: 'an acknowledged commit is lost',
    invariant: 'I2',
    spoil(view, pick) {
      const told = pick(view.answered.filter(({ answer, commandId }) => isLastStock(view, answer.kind, commandId)));
      if (told === undefined) return undefined;
      const entry = view.commitOf(told.commandId) as Logged;
      return { entries: view.without(entry), culprits: [told, view.sentOf(told.commandId)] };
    },
  },
  {
    name: 'an acknowledged lease is lost before anything could have ended it',
    invariant: 'I2',
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(({ answer, commandId }) => {
          const entry = answer.kind === 'committed' ? view.commitOf(commandId) : undefined;
          return entry?.event === 'acquired' && view.messagesOf(entry).at(-1) === entry;
        }),
      );
      if (told === undefined) return undefined;
      return { entries: view.without(view.commitOf(told.commandId) as Logged), culprits: [told] };
    },
  },
  ...(['entity_version', 'state', 'entity_id'] as const).map((key): Mutation => ({
    name: `a client is told another ${key} than the log has`,
    invariant: 'I2',
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(({ answer, commandId }) => answer.kind === 'committed' && view.commitOf(commandId)),
      );
      if (told === undefined) return undefined;
      const { answer } = told;
      const wrong = key === 'entity_version' ? Number(answer.payload[key]) + 7 : key === 'state' ? { odd: 1 } : 'odd';
      const lie = { ...told, answer: { ...answer, payload: { ...answer.payload, [key]: wrong } } };
      return { entries: view.replace(told, lie), culprits: [lie, view.commitOf(told.commandId) as Logged] };
    },
  })),
  ...(['conflict', 'rejected'] as const).map((kind): Mutation => ({
    name: `a command is told ${kind}, and commits`,
    invariant: 'I2',
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(
          ({ answer, commandId, single }) => answer.kind === 'committed' && single && view.commitOf(commandId),
        ),
      );
      if (told === undefined) return undefined;
      const payload = kind === 'conflict' ? { expected_version: 1, current_version: 2 } : { code: 'not_found' };
      const lie = { ...told, answer: { kind, event: `evt.inventory.${kind}`, payload } };
      return { entries: view.replace(told, lie), culprits: [lie, view.commitOf(told.commandId) as Logged] };
    },
  })),
  {
    name: 'a command of several copies is told of a version that has passed, and commits',
    invariant: 'I2',
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(
          ({ answer, commandId, single }) =>
            !single && answer.kind === 'committed' && Number(view.sentOf(commandId).expectedVersion) > 0,
        ),
      );
      const entry = told && view.commitOf(told.commandId);
      // What changes the queue of a lock leaves the version that it expected.
      if (told === undefined || entry?.kind !== 'commit') return undefined;
      const payload = { expected_version: entry.version - 1, current_version: entry.version };
      const lie = { ...told, answer: { kind: 'conflict' as const, event: 'evt.inventory.conflict', payload } };
      return { entries: view.replace(told, lie), culprits: [lie, entry] };
    },
  },
  {
    name: 'a commit is by a command that nobody sent',
    invariant: 'I2',
    spoil(view, pick) {
      const entry = pick(view.asked);
      if (entry === undefined) return undefined;
      return { entries: view.withoutCommand(entry.commandId), culprits: [entry] };
    },
  },
  {
    name: 'a guarded command commits on another version',
    invariant: 'I3',
    spoil(view, pick) {
      const entry = pick(view.commits(STOCK).filter(({ version }) => version > 2));
      if (entry === undefined || !view.isAskedOnce(entry.commandId)) return undefined;
      const sent = view.sentOf(entry.commandId);
      const guarded: Sent = { ...sent, expectedVersion: entry.version - 2 };
      return { entries: view.replace(sent, guarded), culprits: [guarded, entry] };
    },
  },
  {
    name: 'a command that expects no entity commits on a live one',
    invariant: 'I3',
    spoil(view, pick) {
      const entry = pick(view.commits(STOCK).filter((one) => one.version > 1 && one.event !== 'created'));
      if (entry === undefined || !view.isAskedOnce(entry.commandId)) return undefined;
      const sent = view.sentOf(entry.commandId);
      const guarded: Sent = { ...sent, expectedVersion: 0 };
      return { entries: view.replace(sent, guarded), culprits: [guarded, entry] };
    },
  },
  {
    name: 'two commands that expect the same version commit',
    invariant: 'I3',
    spoil(view, pick) {
      const second = pick(view.commits(STOCK).filter(({ version }) => version > 2));
      const first =
        second && view.messagesOf(second).find(({ version }) => version === second.version - 1 && version > 1);
      if (second === undefined || first === undefined) return undefined;
      if (!view.isAskedOnce(first.commandId) || !view.isAskedOnce(second.commandId)) return undefined;
      const expectedVersion = first.version - 1;
      const guard = (id: string): Sent => ({ ...view.sentOf(id), expectedVersion });
      const [one, other] = [guard(first.commandId), guard(second.commandId)];
      const entries = view.entries.map((entry) => {
        if (entry.type !== 'sent') return entry;
        return entry.commandId === one.commandId ? one : entry.commandId === other.commandId ? other : entry;
      });
      return { entries, culprits: [first, other, second] };
    },
  },
  {
    name: 'a command commits twice',
    invariant: 'I5',
    spoil(view, pick) {
      const entry = pick(view.asked);
      const last = view.logged.findLast(({ agent }) => agent === entry?.agent);
      if (entry === undefined || last === undefined) return undefined;
      const version = (view.messagesOf(entry).at(-1)?.version ?? 0) + 1;
      const again: Logged = { ...entry, sequence: last.sequence + 1, version };
      return { entries: [...view.entries, again], culprits: [entry, again] };
    },
  },
  {
    name: 'a replay has another outcome than the commit',
    invariant: 'I5',
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(({ answer, commandId }) => answer.kind === 'replayed' && view.commitOf(commandId)),
      );
      if (told === undefined) return undefined;
      const { answer } = told;
      const lie = { ...told, answer: { ...answer, payload: { ...answer.payload, state: { odd: 1 } } } };
      return { entries: view.replace(told, lie), culprits: [lie, view.commitOf(told.commandId) as Logged] };
    },
  },
  {
    name: 'who asks again is refused what had been acknowledged',
    invariant: 'I5',
    spoil(view, pick) {
      const told = pick(view.answered.filter(({ answer }) => answer.kind === 'committed'));
      const last = view.entries.findLast((entry) => 'atMs' in entry);
      if (told === undefined || last === undefined) return undefined;
      const sent: Sent = { ...view.sentOf(told.commandId), atMs: last.atMs + 1 };
      const answer = { kind: 'rejected' as const, event: 'evt.inventory.rejected', payload: { code: 'not_found' } };
      const lie = { ...told, atMs: last.atMs + 2, single: false, answer };
      return { entries: [...view.entries, sent, lie], culprits: [told, lie] };
    },
  },
];

/** This message and all later ones of its entity, some versions on. */
function shifted(
  view: View,
  first: Logged | undefined,
  by: number,
): { entries: Entry[]; culprits: Entry[] } | undefined {
  if (first === undefined) return undefined;
  const shift = (entry: Entry): Entry => {
    if (entry.type !== 'logged' || entry.agent !== first.agent || entry.entityId !== first.entityId) return entry;
    return entry.sequence < first.sequence ? entry : { ...entry, version: entry.version + by };
  };
  return { entries: view.entries.map(shift), culprits: [shift(first)] };
}

function isLastStock(view: View, kind: string, commandId: string): boolean {
  const entry = kind === 'committed' ? view.commitOf(commandId) : undefined;
  return entry?.agent === STOCK;
}
