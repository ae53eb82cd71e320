/** What must not become of durable commands. */
import type { Logged, Queued, Sent, Told } from '../../../src/history.ts';
import type { Mutation } from './mutations.ts';
import { simulateQueue } from './simulated-queue.ts';
import type { View } from './view.ts';

/** A durable command that was acknowledged, and committed. */
interface Done {
  readonly sent: Sent;
  readonly stored: Queued;
  readonly commit: Logged;
}

export const durableMutations: readonly Mutation[] = [
  {
    name: 'a command that is stored is lost',
    invariant: 'durable-commands',
    simulate: simulateQueue,
    spoil(view, pick) {
      const found = pick(done(view).filter((each) => isUncancelled(view, each) && isNeverRefused(view, each)));
      if (found === undefined) return undefined;
      const { commit, sent, stored } = found;
      const { commandId } = sent;
      const entries = view.entries.filter(
        (entry) =>
          !('commandId' in entry) ||
          entry.commandId !== commandId ||
          entry.type === 'sent' ||
          entry.type === 'queued' ||
          (entry.type === 'logged' && entry.sequence !== commit.sequence),
      );
      return { entries, culprits: [sent, stored] };
    },
  },
  {
    name: 'a command that was cancelled for certain is executed',
    invariant: 'durable-commands',
    simulate: simulateQueue,
    spoil(view, pick) {
      const found = pick(done(view));
      if (found === undefined) return undefined;
      const { commit, stored } = found;
      const cancelled: Queued = { ...stored, atMs: stored.atMs + 0.001, as: 'cancelled' };
      return { entries: view.insertAfter(stored, cancelled), culprits: [cancelled, commit] };
    },
  },
  {
    name: 'a durable command is told that it was refused, and is executed',
    invariant: 'I2',
    simulate: simulateQueue,
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(
          ({ answer, commandId }) => answer.kind === 'committed' && view.sentOf(commandId).durable !== undefined,
        ),
      );
      const commit = told && view.commitOf(told.commandId);
      if (commit === undefined || told === undefined) return undefined;
      const answer = { kind: 'rejected', event: 'evt.inventory.rejected', payload: { code: 'not_found' } } as const;
      const lie = { ...told, answer };
      return { entries: view.replace(told, lie), culprits: [lie, commit] };
    },
  },
  {
    name: 'a durable command is told a refusal that the log does not have',
    invariant: 'I2',
    simulate: simulateQueue,
    spoil(view, pick) {
      const record = pick(records(view).filter(({ commandId }) => view.toldOf(commandId)?.answer !== undefined));
      if (record === undefined) return undefined;
      return { entries: view.without(record), culprits: [view.toldOf(record.commandId) as Told] };
    },
  },
  {
    name: 'the log has another refusal than the one that everybody heard',
    invariant: 'I2',
    simulate: simulateQueue,
    spoil(view, pick) {
      const heard = pick(view.heard.filter(({ commandId }) => isRefused(view, commandId)));
      const record = heard && records(view).find(({ commandId }) => commandId === heard.commandId);
      if (record?.refusal === undefined) return undefined;
      const refusal = { ...record.refusal, payload: { ...record.refusal.payload, reason: 'no reason' } };
      const other: Logged = { ...record, refusal };
      return { entries: view.replace(record, other), culprits: [other] };
    },
  },
  {
    name: 'a durable command is refused where the rules take it',
    invariant: 'I1',
    simulate: simulateQueue,
    spoil(view, pick) {
      const record = pick(records(view).filter(({ refusal }) => refusal?.kind === 'rejected'));
      if (record === undefined) return undefined;
      const payload = { ...record.refusal?.payload, code: 'already_exists' };
      const other: Logged = { ...record, refusal: { kind: 'rejected', payload } };
      return { entries: view.replace(record, other), culprits: [other] };
    },
  },
  {
    name: 'a durable command is refused, and executed later',
    invariant: 'I5',
    simulate: simulateQueue,
    spoil(view, pick) {
      const record = pick(records(view));
      const last = view.logged.at(-1);
      if (record === undefined || last === undefined) return undefined;
      const { refusal: _refusal, ...rest } = record;
      const version = (view.messagesOf(record).at(-1)?.version ?? 0) + 1;
      const mark = Math.max(...view.logged.map((entry) => entry.mark ?? 0)) + 1;
      const later: Logged = { ...rest, kind: 'commit', event: 'adjusted', sequence: last.sequence + 1, version, mark };
      return { entries: [...view.entries, later], culprits: [record, later] };
    },
  },
  {
    name: 'a refusal changes the entity',
    invariant: 'I1',
    simulate: simulateQueue,
    spoil(view, pick) {
      const record = pick(records(view));
      if (record === undefined) return undefined;
      const wrong: Logged = { ...record, state: { ...record.state, quantity: -1 } };
      return { entries: view.replace(record, wrong), culprits: [wrong] };
    },
  },
  ...[0, 1].map((by): Mutation => ({
    name: by === 0 ? 'a durable command leaves the mark where it was' : 'a request moves the mark',
    invariant: 'marks',
    simulate: simulateQueue,
    spoil(view, pick) {
      const moved = pick(
        view.asked.filter((entry) => {
          const messages = view.messagesOf(entry);
          const isDurable = view.sentOf(entry.commandId).durable !== undefined;
          return isDurable === (by === 0) && (by === 1 || messages.indexOf(entry) > 0);
        }),
      );
      if (moved === undefined) return undefined;
      const messages = view.messagesOf(moved);
      const mark = (messages[messages.indexOf(moved) - 1]?.mark ?? 0) + by;
      const wrong: Logged = { ...moved, mark };
      return { entries: view.replace(moved, wrong), culprits: [wrong] };
    },
  })),
  {
    name: 'a command is executed before its time',
    invariant: 'durable-commands',
    simulate: simulateQueue,
    spoil(view, pick) {
      const found = pick(done(view));
      if (found === undefined) return undefined;
      const { commit, sent } = found;
      const hasty: Sent = { ...sent, durable: { dueMs: Date.parse(commit.time) + 51 } };
      return { entries: view.replace(sent, hasty), culprits: [hasty, commit] };
    },
  },
];

function done(view: View): Done[] {
  const ids = new Set(view.sent.filter(({ durable }) => durable !== undefined).map(({ commandId }) => commandId));
  return [...ids].flatMap((commandId) => {
    const stored = queuedOf(view, commandId).find(({ as }) => as === 'stored');
    const commit = view.commitOf(commandId);
    return stored === undefined || commit === undefined ? [] : [{ sent: view.sentOf(commandId), stored, commit }];
  });
}

function records(view: View): Logged[] {
  return view.logged.filter(({ kind }) => kind === 'record');
}

function isRefused(view: View, commandId: string): boolean {
  return records(view).some((record) => record.commandId === commandId);
}

function queuedOf(view: View, commandId: string): Queued[] {
  return view.entries.filter((entry): entry is Queued => entry.type === 'queued' && entry.commandId === commandId);
}

/** Whoever is unsure whether a command was cancelled cannot call it lost. */
function isUncancelled(view: View, { sent }: Done): boolean {
  return queuedOf(view, sent.commandId).every(({ as }) => as === 'stored' || as === 'kept');
}

/** Whether the rules take it in every state that its entity was in once it was sent, also without what is known of another. */
function isNeverRefused(view: View, { sent }: Done, other?: Done): boolean {
  const { atMs, data, entityId, expectedVersion } = sent;
  const isKnown = view.answered.some(
    (told) =>
      told.atMs < atMs &&
      told.commandId !== other?.sent.commandId &&
      told.answer.payload['entity_version'] !== undefined &&
      view.sentOf(told.commandId).entityId === entityId,
  );
  return isKnown && expectedVersion === undefined && Number(data['delta'] ?? 0) > 0;
}
