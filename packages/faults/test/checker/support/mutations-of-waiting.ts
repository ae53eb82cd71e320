/** Waiting, breaking and writing under a lease: what can be wrong with each. */
import { placesIn } from '../../../src/checker/queue.ts';
import type { Entry, Logged, Sent, Told } from '../../../src/history.ts';
import type { Mutation, Spoiled } from './mutations.ts';
import type { Answered, View } from './view.ts';

export const waitingMutations: readonly Mutation[] = [
  {
    name: 'a change of the queue counts as a version',
    invariant: 'I1',
    spoil(view, pick) {
      const first = pick(asides(view).filter((one) => before(view, one)?.version === one.version));
      if (first === undefined) return undefined;
      const shift = (entry: Entry): Entry => {
        if (entry.type !== 'logged' || entry.agent !== 'lock' || entry.entityId !== first.entityId) return entry;
        return entry.sequence < first.sequence ? entry : { ...entry, version: entry.version + 1 };
      };
      return { entries: view.entries.map(shift), culprits: [shift(first)] };
    },
  },
  {
    name: 'a change of the queue ends the lease',
    invariant: 'I1',
    spoil(view, pick) {
      const held = asides(view).filter((one) => one.state?.['owner_id'] !== null && isNext(view, one));
      return changed(view, pick(held), (entry) => ({ ...entry, state: { ...entry.state, owner_id: null } }));
    },
  },
  {
    name: 'a change of the queue forgets the lease that stands',
    invariant: 'I1',
    spoil(view, pick) {
      const held = asides(view).filter(({ keeps }) => keeps !== undefined);
      return changed(view, pick(held), ({ keeps: _gone, ...entry }) => entry);
    },
  },
  {
    name: 'a change of the queue leaves a place that nobody was given',
    invariant: 'I1',
    spoil(view, pick) {
      const next = asides(view).filter((one) => isNext(view, one));
      return changed(view, pick(next), (entry) => ({
        ...entry,
        notes: `${entry.notes ?? ''} stranger.1.zzzzzzzz`.trim(),
      }));
    },
  },
  {
    name: 'a lock is granted to somebody who does not wait first',
    invariant: 'first-come-first-served',
    spoil(view, pick) {
      const grants = view.grants.filter((one) => {
        const at = Date.parse(String(one.state?.['acquired_at']));
        const isLongFree = at - Date.parse(String(before(view, one)?.state?.['expires_at'])) >= 2_000;
        const waiting = placesIn(notesBefore(view, one)).filter(({ hasEnded, until }) => !hasEnded && until > at);
        return waiting.length > 0 && !isLongFree;
      });
      return changed(view, pick(grants), (entry) => ({ ...entry, state: { ...entry.state, owner_id: 'an outsider' } }));
    },
  },
  {
    name: 'a waiter is told that the wait was cancelled, and was granted the lock',
    invariant: 'I2',
    spoil(view, pick) {
      const told = pick(
        waitersTold(view).filter(({ answer, commandId }) => answer.kind === 'committed' && view.commitOf(commandId)),
      );
      return told && lied(view, told, { kind: 'denied', event: 'evt.lock.denied', payload: { code: 'cancelled' } });
    },
  },
  {
    name: 'a wait is cancelled by nobody',
    invariant: 'explicable-refusals',
    spoil(view, pick) {
      const refused = waitersTold(view).filter(({ answer }) => answer.payload['code'] === 'held');
      const told = pick(refused.filter((each) => view.hasAll(each)));
      if (told === undefined) return undefined;
      const sent = view.sentOf(told.commandId);
      const alone: Sent = { ...sent, data: { ...sent.data, owner_id: 'somebody else' } };
      const lie = { ...told, answer: { ...told.answer, payload: { ...told.answer.payload, code: 'cancelled' } } };
      const entries = view.replace(told, lie).map((entry) => (entry === sent ? alone : entry));
      return { entries, culprits: [alone, lie] };
    },
  },
  {
    name: 'a waiter is told too early that the lock is held',
    invariant: 'waiters',
    spoil(view, pick) {
      const told = pick(queuedTold(view).filter(({ answer }) => answer.payload['code'] === 'held'));
      const sent = told && view.sentOf(told.commandId);
      if (told === undefined || sent === undefined) return undefined;
      const patient: Sent = { ...sent, data: { ...sent.data, wait_ms: told.atMs - sent.atMs + 2_100 } };
      return { entries: view.replace(sent, patient), culprits: [patient, told] };
    },
  },
  ...[true, false].map((isAnswered): Mutation => ({
    name: isAnswered ? 'a waiter is answered long after the wait' : 'a waiter is never answered',
    invariant: 'waiters',
    spoil(view, pick) {
      const told = pick(queuedTold(view));
      const last = view.entries.findLast((entry) => 'atMs' in entry);
      if (told === undefined || last === undefined) return undefined;
      const { answer, ...rest } = told;
      const late: Told = { ...rest, atMs: Math.max(last.atMs, told.atMs + 15_000), ...(isAnswered ? { answer } : {}) };
      return { entries: [...quiet(view.without(told)), late], culprits: [view.sentOf(told.commandId), late] };
    },
  })),
  {
    name: 'a waiter is answered twice, with nothing to excuse it',
    invariant: 'waiters',
    spoil(view, pick) {
      const told = pick(queuedTold(view));
      if (told === undefined) return undefined;
      const again = { ...told, atMs: told.atMs + 0.001 };
      return { entries: quiet(view.insertAfter(told, again)), culprits: [told, again] };
    },
  },
  {
    name: 'a place is given for a command that does not wait',
    invariant: 'waiters',
    spoil(view, pick) {
      const place = pick(asides(view).filter((one) => one.event === 'queued' && view.isAskedOnce(one.causedBy ?? '')));
      if (place === undefined) return undefined;
      const sent = view.sentOf(place.causedBy ?? '');
      const { wait_ms: _wait, ...data } = sent.data;
      const hasty: Sent = { ...sent, data };
      return { entries: view.replace(sent, hasty), culprits: [hasty, place] };
    },
  },
  {
    name: 'a write commits under a token that another has overtaken',
    invariant: 'fencing',
    spoil(view, pick) {
      const pairs = guarded(view).flatMap(({ entry, sent, lease }, index, all) => {
        const { fencing_token: token, resource } = lease;
        const earlier = all
          .slice(0, index)
          .some((one) => one.entry.entityId === entry.entityId && one.lease.resource === resource);
        return earlier && token > 1 && view.isAskedOnce(sent.commandId) ? [{ entry, sent, lease }] : [];
      });
      const found = pick(pairs);
      if (found === undefined) return undefined;
      const { entry, sent, lease } = found;
      const stale: Sent = { ...sent, lease: { ...lease, fencing_token: 0 } };
      return { entries: view.replace(sent, stale), culprits: [stale, entry] };
    },
  },
  {
    name: 'an entity forgets the tokens that it has seen',
    invariant: 'fencing',
    spoil: (view, pick) =>
      changed(
        view,
        pick(view.commits('inventory').filter(({ fences }) => fences !== undefined)),
        ({ fences: _gone, ...entry }) => entry,
      ),
  },
  {
    name: 'the highest token is refused as stale',
    invariant: 'fencing',
    spoil(view, pick) {
      const told = pick(
        view.answered.filter(
          ({ answer, commandId }) => answer.payload['code'] === 'stale_token' && view.isAskedOnce(commandId),
        ),
      );
      if (told === undefined) return undefined;
      const sent = view.sentOf(told.commandId);
      const newest: Sent = { ...sent, lease: { resource: sent.lease?.resource ?? '', fencing_token: 1_000 } };
      return { entries: view.replace(sent, newest), culprits: [newest, told] };
    },
  },
];

function asides(view: View): Logged[] {
  return view.logged.filter(({ kind }) => kind === 'unchanged');
}

function before(view: View, entry: Logged): Logged | undefined {
  const messages = view.messagesOf(entry);
  return messages[messages.indexOf(entry) - 1];
}

/** What the rules saw before a commit; an expiry leaves the queue as the last change of it did. */
function notesBefore(view: View, entry: Logged): string {
  const messages = view.messagesOf(entry);
  const earlier = messages.slice(0, messages.indexOf(entry)).filter(({ version }) => version === entry.version - 1);
  return (earlier.findLast(({ kind }) => kind !== 'expiry') ?? earlier.at(-1))?.notes ?? '';
}

/** Whether the log has what came directly before it. */
function isNext(view: View, entry: Logged): boolean {
  return before(view, entry)?.version === entry.version;
}

function changed(view: View, entry: Logged | undefined, change: (entry: Logged) => Logged): Spoiled | undefined {
  if (entry === undefined) return undefined;
  const wrong = change(entry);
  return { entries: view.replace(entry, wrong), culprits: [wrong] };
}

/** Answers to commands that might wait, sent once. */
function waitersTold(view: View): Answered[] {
  return view.answered.filter(({ commandId, single }) => {
    const { action, data, expectedVersion } = view.sentOf(commandId);
    const waits = action === 'acquire' && Number(data['wait_ms'] ?? 0) > 0 && expectedVersion === undefined;
    return waits && single && view.isAskedOnce(commandId);
  });
}

/** Of those, to commands that had a place. */
function queuedTold(view: View): Answered[] {
  const placed = new Set(asides(view).flatMap(({ causedBy, event }) => (event === 'queued' ? [causedBy] : [])));
  return waitersTold(view).filter(({ commandId }) => placed.has(commandId));
}

function guarded(view: View): { entry: Logged; sent: Sent; lease: NonNullable<Sent['lease']> }[] {
  return view.commits('inventory').flatMap((entry) => {
    const sent = view.sentOf(entry.commandId);
    return sent.lease === undefined ? [] : [{ entry, sent, lease: sent.lease }];
  });
}

/** Without anything that may have kept an answer from its client. */
function quiet(entries: readonly Entry[]): Entry[] {
  return entries.filter(({ type }) => type !== 'disturbed');
}

function lied(view: View, told: Answered, answer: Answered['answer']): Spoiled {
  const lie = { ...told, answer };
  return { entries: view.replace(told, lie), culprits: [lie, view.commitOf(told.commandId) as Logged] };
}
