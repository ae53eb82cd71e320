/** What real time forbids, and refusals that nothing explains. */
import type { Entry, Sent, Told } from '../../../src/history.ts';
import type { Mutation } from './mutations.ts';
import type { Answered, View } from './view.ts';

export const orderMutations: readonly Mutation[] = [
  {
    name: 'a command commits below a version that was known before it was sent',
    invariant: 'real-time-order',
    spoil(view, pick) {
      const found = pick(
        view.answered.flatMap((told) => {
          const after = told.answer.kind === 'committed' ? view.commitOf(told.commandId) : undefined;
          const before =
            after && view.messagesOf(after).find((one) => one.version < after.version && one.kind !== 'expiry');
          return before !== undefined && view.isAskedOnce(before.commandId) ? [{ told, before }] : [];
        }),
      );
      if (found === undefined) return undefined;
      const { told, before } = found;
      const sent: Sent = { ...view.sentOf(before.commandId), atMs: told.atMs + 0.001 };
      const answer = view.toldOf(before.commandId);
      const late: Entry[] = answer === undefined ? [sent] : [sent, { ...answer, atMs: told.atMs + 0.002 }];
      const rest = view.entries.filter(
        (entry) => (entry.type !== 'sent' && entry.type !== 'told') || entry.commandId !== before.commandId,
      );
      const entries = rest.toSpliced(rest.indexOf(told) + 1, 0, ...late);
      return { entries, culprits: [sent, before] };
    },
  },
  {
    name: 'a conflict names a version that had passed before the command was sent',
    invariant: 'explicable-refusals',
    spoil: (view, pick) => lyingConflict(view, pick, -1),
  },
  {
    name: 'a conflict names a version that came only after the answer',
    invariant: 'explicable-refusals',
    spoil: (view, pick) => lyingConflict(view, pick, 1_000),
  },
  {
    name: 'a conflict tells of another expectation than the command had',
    invariant: 'explicable-refusals',
    spoil(view, pick) {
      const told = pick(conflicts(view));
      return told && lie(view, told, { expected_version: Number(told.answer.payload['expected_version']) + 1 });
    },
  },
  {
    name: 'a refusal gives a reason that never was one',
    invariant: 'explicable-refusals',
    spoil(view, pick) {
      const told = pick(view.answered.filter(({ answer }) => answer.kind === 'rejected'));
      if (told === undefined) return undefined;
      const { action } = view.sentOf(told.commandId);
      return lie(view, told, { code: action === 'create' ? 'insufficient_stock' : 'already_exists' });
    },
  },
  {
    name: 'a refusal tells of numbers that never were so',
    invariant: 'explicable-refusals',
    spoil(view, pick) {
      const told = pick(view.answered.filter(({ answer }) => answer.payload['code'] === 'insufficient_stock'));
      return told && lie(view, told, { reason: '3 are to be taken, 1000 are available' });
    },
  },
  {
    name: 'a lock is said to be held by somebody who never held it',
    invariant: 'explicable-refusals',
    spoil(view, pick) {
      const told = pick(held(view));
      return told && lie(view, told, { current_owner_id: 'nobody' });
    },
  },
  {
    name: 'a lock is said to be held until another time than its lease',
    invariant: 'explicable-refusals',
    spoil(view, pick) {
      const told = pick(held(view));
      return told && lie(view, told, { expires_at: '2026-01-31T11:00:00.000Z' });
    },
  },
];

function held(view: View): Answered[] {
  return view.answered.filter((told) => told.answer.payload['code'] === 'held' && view.hasAll(told));
}

function conflicts(view: View): Answered[] {
  return view.answered.filter(({ answer }) => answer.kind === 'conflict');
}

function lyingConflict(
  view: View,
  pick: <T>(candidates: readonly T[]) => T | undefined,
  by: number,
): ReturnType<Mutation['spoil']> {
  const told = pick(
    conflicts(view).filter((one) => known(view, one) > 1 && view.sentOf(one.commandId).agent === 'inventory'),
  );
  return told && lie(view, told, { current_version: known(view, told) + by });
}

/** The highest version that anybody had been told of when the command was sent. */
function known(view: View, { commandId }: Told): number {
  const { agent, atMs, entityId } = view.sentOf(commandId);
  const versions = view.answered
    .filter((told) => told.atMs < atMs && view.sentOf(told.commandId).entityId === entityId)
    .filter((told) => view.sentOf(told.commandId).agent === agent)
    .map(({ answer }) => Number(answer.payload['entity_version'] ?? answer.payload['current_version'] ?? 0));
  return Math.max(0, ...versions);
}

function lie(view: View, told: Answered, words: object): ReturnType<Mutation['spoil']> {
  const { answer } = told;
  const wrong: Told = { ...told, answer: { ...answer, payload: { ...answer.payload, ...words } } };
  return { entries: view.replace(told, wrong), culprits: [wrong, view.sentOf(told.commandId)] };
}
