/** I6, and the log as a witness: what can be wrong with what is heard. */
import type { Heard, Logged } from '../../../src/history.ts';
import type { Mutation, Spoiled } from './mutations.ts';
import type { View } from './view.ts';

export const eventMutations: readonly Mutation[] = [
  {
    name: 'an event tells of a commit that never was',
    invariant: 'I6',
    spoil(view, pick) {
      const heard = pick(changes(view));
      if (heard === undefined) return undefined;
      const nothing: Heard = { ...heard, sequence: 100_000 };
      return { entries: view.insertAfter(heard, nothing), culprits: [nothing] };
    },
  },
  {
    name: 'an event of a change names no commit',
    invariant: 'I6',
    spoil(view, pick) {
      const heard = pick(changes(view));
      if (heard === undefined) return undefined;
      const { sequence: _gone, ...forged } = heard;
      return { entries: view.insertAfter(heard, forged), culprits: [forged] };
    },
  },
  ...(['entity_version', 'state', 'entity_id', 'data'] as const).map((key): Mutation => ({
    name: `an event has another ${key} than its commit`,
    invariant: 'I6',
    spoil(view, pick) {
      const heard = pick(changes(view).filter((one) => commitAt(view, one) !== undefined));
      if (heard === undefined) return undefined;
      const value =
        key === 'entity_version' ? Number(heard.payload[key]) + 1 : key === 'entity_id' ? 'odd' : { odd: 1 };
      return replaced(view, heard, { ...heard, payload: { ...heard.payload, [key]: value } });
    },
  })),
  {
    name: 'an event has another name than its commit',
    invariant: 'I6',
    spoil(view, pick) {
      const heard = pick(changes(view).filter((one) => commitAt(view, one) !== undefined));
      return heard && replaced(view, heard, { ...heard, event: 'renamed' });
    },
  },
  {
    name: 'an event names another command than its commit',
    invariant: 'I6',
    spoil(view, pick) {
      const heard = pick(changes(view).filter((one) => commitAt(view, one) !== undefined));
      return heard && replaced(view, heard, { ...heard, commandId: 'odd' });
    },
  },
  {
    name: 'a refusal is said of a command that nobody sent',
    invariant: 'I6',
    spoil(view, pick) {
      const signal = pick(signals(view));
      if (signal === undefined) return undefined;
      const odd: Heard = { ...signal, commandId: 'odd' };
      return { entries: view.insertAfter(signal, odd), culprits: [odd] };
    },
  },
  {
    name: 'a refusal is said of a command whose only copy commits',
    invariant: 'I2',
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(
          ({ single, commandId }) => single && view.isAskedOnce(commandId) && view.commitOf(commandId),
        ),
      );
      const commit = told && view.commitOf(told.commandId);
      if (told === undefined || commit === undefined) return undefined;
      const { agent, commandId } = commit;
      const said: Heard = { type: 'heard', atMs: told.atMs, agent, event: 'rejected', commandId, payload: {} };
      return { entries: view.insertAfter(told, said), culprits: [said, commit] };
    },
  },
  {
    name: 'the log has other content when it is delivered again',
    invariant: 'lasting-log',
    spoil(view, pick) {
      const entry = pick(view.logged);
      if (entry === undefined) return undefined;
      const again: Logged = { ...entry, commandId: 'odd' };
      return { entries: [...view.entries, again], culprits: [entry, again] };
    },
  },
  {
    name: 'something comes into the log behind what was there',
    invariant: 'lasting-log',
    spoil(view) {
      const lock = view.logged.findLast(({ agent }) => agent === 'lock');
      if (lock === undefined) return undefined;
      const places = new Set(view.logged.filter(({ agent }) => agent === 'lock').map(({ sequence }) => sequence));
      const free = Array.from({ length: lock.sequence }, (_, index) => index + 1).find((place) => !places.has(place));
      if (free === undefined) return undefined;
      const late: Logged = { ...lock, sequence: free };
      return { entries: [...view.entries, late], culprits: [lock, late] };
    },
  },
];

function changes(view: View): Heard[] {
  return view.heard.filter(({ sequence }) => sequence !== undefined);
}

function signals(view: View): Heard[] {
  return view.heard.filter(({ sequence }) => sequence === undefined);
}

function commitAt(view: View, { agent, sequence }: Heard): Logged | undefined {
  return view.logged.find((entry) => entry.agent === agent && entry.sequence === sequence);
}

function replaced(view: View, heard: Heard, lie: Heard): Spoiled {
  return { entries: view.replace(heard, lie), culprits: [lie, commitAt(view, heard) as Logged] };
}
