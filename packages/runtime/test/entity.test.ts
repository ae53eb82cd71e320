/**
 * Hunts expiries that end or undo what they must not. The server writes an expiry without a look at the log, so it can land behind
 * a refresh, a release or another grant. The logs here are random, in the orders that the server produces.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entityAfter, entityIn, NO_ENTITY, type Entity, type LogEntry, type LoggedEntry } from '../src/core/entity.ts';
import { listCommands } from '../src/core/recent.ts';

interface State {
  n: number;
  held: boolean;
}

const agent = {
  lease: { expiryEvent: 'expired', events: ['held'], expire: (state: object) => ({ ...state, held: false }) },
};

interface Stored extends LoggedEntry {
  /** What stands for its subject. */
  place: string;
}

type Operation = 'lease' | 'commit' | 'unchanged' | 'record';

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      write: fc.constantFrom<Operation>('lease', 'lease', 'commit', 'unchanged', 'unchanged', 'record'),
      /** Whether expiries that are on their way come in between its checks and its place in the log, as on three servers. */
      isBehind: fc.boolean(),
    }),
  },
  /** The time of the lease that stands is over: its expiry, as the message is now, is on its way. */
  { weight: 2, arbitrary: fc.constant('due' as const) },
  /** The oldest expiry on its way lands. */
  { weight: 2, arbitrary: fc.constant('land' as const) },
);

/** The log of one entity in a stream of the server's. */
class Log {
  readonly stored: Stored[] = [];
  #onTheirWay: Stored[] = [];
  #sequence = 1_000;

  entity(): Entity {
    return this.stored.length === 0 ? NO_ENTITY : entityIn(agent, this.stored);
  }

  /** Stores what is made of the entity, with its expiries in between where it comes behind them. */
  write(operation: Operation, isBehind: boolean, onExpiry: (before: Entity, expiry: Stored) => void): Stored {
    const entity = this.entity();
    const entry = entryOf(operation, entity, `command-${this.#sequence}`);
    if (isBehind) while (this.#onTheirWay.length > 0) this.land(onExpiry);
    const { lease, version } = entry;
    const place = { lease: `held.${version}`, commit: 'changed.0', unchanged: 'noted.0', record: 'refused' }[operation];
    if (entity.lease !== undefined && entity.lease.version !== lease?.version)
      this.#purge(`held.${entity.lease.version}`);
    return this.#store(place, entry);
  }

  due(): void {
    const { lease } = this.entity();
    const commit = this.stored.find(({ place }) => place === `held.${lease?.version}`);
    if (commit !== undefined && !this.#onTheirWay.some(({ place }) => place === commit.place)) {
      this.#onTheirWay.push(commit);
    }
  }

  land(onExpiry: (before: Entity, expiry: Stored) => void): void {
    const commit = this.#onTheirWay.shift();
    if (commit === undefined) return;
    const before = this.entity();
    this.#purge(commit.place);
    const { lease: _ended, ...entry } = commit.entry;
    onExpiry(before, this.#store('expired.x', { ...entry, kind: 'expiry' }));
  }

  #store(place: string, entry: LogEntry): Stored {
    const stored = { place, entry, sequence: ++this.#sequence };
    // Of each subject, only the last message is read.
    this.#purge(place);
    this.stored.push(stored);
    return stored;
  }

  #purge(place: string): void {
    const i = this.stored.findIndex((each) => each.place === place);
    if (i !== -1) this.stored.splice(i, 1);
  }
}

function entryOf(operation: Operation, entity: Entity, digest: string): LogEntry {
  const { fences, lease, mark, notes, recent: earlier, state, version } = entity;
  const n = (state as State | null)?.n ?? 0;
  const kept = { fences, bytes: 0, earlier, command: { digest, body: 'body' } };
  const next = { ...kept, kind: 'commit' as const, version: version + 1, notes: `notes of ${digest}`, mark };
  switch (operation) {
    case 'lease': {
      const own = { endsAt: 1_000, event: 'held', version: version + 1 };
      return { ...next, event: 'held', state: { n: n + 1, held: true }, lease: own };
    }
    case 'commit':
      return { ...next, event: 'changed', state: { n: n + 1, held: false } };
    case 'unchanged':
      return { ...next, kind: 'unchanged', event: 'noted', version, state, lease };
    case 'record':
      return {
        ...kept,
        kind: 'record',
        event: '',
        version,
        state,
        lease,
        notes,
        mark: { sequence: mark.sequence + 1, storedAt: mark.storedAt },
      };
  }
}

/** All of an entity that its own commands have made. */
function madeOf({ recent, sequence: _last, bytes: _size, ...entity }: Entity): object {
  return { ...entity, recent: listCommands(recent).map(({ sequence: _at, ...command }) => command) };
}

/** An expiry counts only if its version is the highest before it. */
function checkExpiry(before: Entity, { entry, sequence }: Stored, after: Entity): void {
  expect(after.sequence).toBe(sequence);
  if (entry.version < before.version || before.lease === undefined) {
    expect(madeOf(after), 'a void expiry changes nothing').toEqual(madeOf(before));
    return;
  }
  const { lease: _ended, ...rest } = before;
  const ended = { ...rest, state: { ...rest.state, held: false } };
  expect(madeOf(after), 'one that counts ends the lease, and nothing else').toEqual(madeOf(ended));
}

test('a stale expiry changes nothing, and one that counts ends its lease alone, wherever it lands', () => {
  const seen = { void: 0, counting: 0, behind: 0 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const log = new Log();
      const onExpiry = (before: Entity, expiry: Stored): void => {
        checkExpiry(before, expiry, log.entity());
        if (expiry.entry.version < before.version) seen.void++;
        else seen.counting++;
      };
      for (const each of steps) {
        if (each === 'due') log.due();
        else if (each === 'land') log.land(onExpiry);
        else {
          const before = log.entity();
          const ended: number[] = [];
          const { entry, sequence } = log.write(each.write, each.isBehind, (...expired) => {
            onExpiry(...expired);
            ended.push(expired[1].entry.version);
          });
          const after = log.entity();
          const alone = entityAfter(agent, entry, sequence);
          if (entry.lease !== undefined && entry.kind !== 'commit' && ended.includes(entry.lease.version)) {
            // It has left a lease alone that had just ended.
            seen.behind++;
            expect(after).toMatchObject({ sequence, version: before.version, state: { held: false } });
            expect(after.lease).toBeUndefined();
          } else {
            expect(after, 'any other message alone says how its entity stands').toEqual(alone);
          }
          expect(after.version).toBe(before.version + (entry.kind === 'commit' ? 1 : 0));
          expect(listCommands(after.recent).at(-1)?.digest).toBe(entry.command?.digest);
        }
      }
    }),
    { numRuns: 1_000 },
  );
  for (const [kind, times] of Object.entries(seen)) expect(times, `of kind ${kind}`).toBeGreaterThan(50);
});

test('an entity of nothing but expiries that left the log again never was', () => {
  expect(entityIn(agent, [])).toEqual(NO_ENTITY);
});
