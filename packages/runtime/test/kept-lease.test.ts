/** Hunts leases that a commit beside them ends or moves, and expiries that undo what came meanwhile. */
import { HEADERS, LIMITS } from '@meshforge/protocol';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { annotate, commit, defineAgent } from '../src/core/agent.ts';
import { decide, type Command, type CommitPlan } from '../src/core/decide.ts';
import { afterExpiry, NO_ENTITY, type Entity, type StandingLease } from '../src/core/entity.ts';
import { RECENT_BYTES } from '../src/core/recent.ts';
import { publishCommit, readLease } from '../src/nats/commit-publisher.ts';
import { prepareAttempt, type Attempt } from '../src/store/attempt.ts';
import { SimulatedStream } from './simulated-stream.ts';

const agent = defineAgent({
  name: 'lamp',
  state: z.object({ on: z.boolean(), by: z.string().optional() }),
  actions: {
    light: { data: z.object({}), event: 'lit', entity: 'any', rule: () => commit({ on: true }, { expiresAt: 9_000 }) },
    note: {
      data: z.object({ text: z.string() }),
      event: 'noted',
      entity: 'present',
      rule: (_state, { text }) => annotate(text),
    },
    quench: { data: z.object({}), event: 'quenched', entity: 'any', rule: () => ({ on: false }) },
  },
  lease: {
    expiryEvent: 'burnt',
    events: ['lit'],
    expire: ({ by }) => (by === undefined ? { on: false } : { on: false, by }),
  },
});

const lease: StandingLease = { endsAt: 9_000, event: 'lit', version: 1 };
const burning: Entity = { ...NO_ENTITY, sequence: 1, version: 1, state: { on: true }, lease };

let sent = 0;

const command = (action: string, data: object = {}): Command => ({
  entityId: 'e',
  action,
  expectedVersion: undefined,
  data: data as Command['data'],
  commandId: `${action}-${++sent}`,
  digest: `${action}-${sent}`,
  headers: [],
});

function attempt(entity: Entity, action: string, data: object = {}): Attempt {
  const made = command(action, data);
  const plan = decide(agent, entity, made, 0) as CommitPlan;
  expect(plan.kind).toBe('commit');
  return prepareAttempt(agent, entity, made, plan, 1_048_576) as Attempt;
}

/** The headers of a commit as they reach the server. */
async function headersOf({ message }: Attempt) {
  const stream = new SimulatedStream(() => 'none', false);
  await publishCommit(stream, 'lamp', { ...message, expectedSequence: 0 });
  return stream.messages[0]?.headers;
}

test('a change of the notes alone carries the lease on and leaves its schedule, the state and the version alone', async () => {
  const made = attempt(burning, 'note', { text: 'x' });
  expect(made.entityAt(2)).toMatchObject({ version: 1, state: { on: true }, lease, notes: 'x' });
  const headers = await headersOf(made);
  expect(readLease(headers?.get(HEADERS.lease) ?? '')).toEqual(lease);
  for (const name of ['Nats-Schedule', 'Nats-Schedule-Next', 'Nats-Scheduler']) expect(headers?.has(name)).toBe(false);
});

test('any other commit ends it, and its schedule with it', async () => {
  const made = attempt(burning, 'quench');
  expect(made.entityAt(2).lease).toBeUndefined();
  const headers = await headersOf(made);
  expect(headers?.get('Nats-Schedule-Next')).toBe('purge');
  expect(headers?.has(HEADERS.lease)).toBe(false);
});

test('where no lease stands there is none to keep', async () => {
  const { lease: _none, ...dark } = burning;
  const made = attempt(dark, 'note', { text: 'x' });
  expect(made.entityAt(2).lease).toBeUndefined();
  expect((await headersOf(made))?.has(HEADERS.lease)).toBe(false);
  expect(decide(agent, NO_ENTITY, command('note', { text: 'x' }), 0).kind).toBe('rejected');
});

test('a lease is read as it was written, and from nothing else', () => {
  expect(readLease('lit 1 9000')).toEqual(lease);
  for (const odd of [
    '',
    'lit',
    'lit 1',
    'lit 1 x',
    'Lit 1 9000',
    'lit 1 9000 ',
    'lit -1 9000',
    'lit 1 99999999999999999',
  ]) {
    expect(readLease(odd)).toBeUndefined();
  }
});

test('notes stay until others come, and through leases and their ends', () => {
  const noted = attempt(burning, 'note', { text: 'first' }).entityAt(2);
  expect(attempt(noted, 'quench').entityAt(3).notes).toBe('first');
  expect(attempt(noted, 'note', { text: '' }).entityAt(3).notes).toBe('');
});

test('notes that no header line can carry are a defect of the rule', () => {
  for (const text of ['\n', 'é', ' x', 'x'.repeat(LIMITS.noteBytes + 1), '\u007f']) {
    expect(decide(agent, burning, command('note', { text }), 0).kind).toBe('defect');
  }
  expect(decide(agent, burning, command('note', { text: 'x'.repeat(LIMITS.noteBytes) }), 0).kind).toBe('commit');
});

test('notes and recent outcomes share what a header may hold', () => {
  let entity: Entity = attempt(burning, 'note', { text: 'n'.repeat(LIMITS.noteBytes) }).entityAt(2);
  for (let i = 0; i < 100; i++) {
    const big = { ...command('light'), commandId: `c${i}`, digest: `c${i}` };
    const plan = { ...(decide(agent, entity, big, 0) as CommitPlan), state: { on: true, by: 'o'.repeat(1_000) } };
    entity = (prepareAttempt(agent, entity, big, plan, 1_048_576) as Attempt).entityAt(3 + i);
    expect(entity.recent.text.length + entity.notes.length).toBeLessThanOrEqual(RECENT_BYTES);
  }
  expect(entity.recent.count).toBeGreaterThan(10);
});

test('an expiry ends the lease that a change of the notes has left alone, and nothing else of it', () => {
  const expired: Entity = { ...NO_ENTITY, sequence: 9, version: 1, state: { on: false } };
  const kept: Entity = { ...burning, sequence: 5, state: { on: true, by: 'ann' }, notes: 'waiting' };
  const { lease: _ended, ...rest } = kept;
  expect(afterExpiry(agent, expired, kept)).toEqual({ ...rest, sequence: 9, state: { on: false, by: 'ann' } });
});

test('an expiry that came behind the end of its lease only moves the sequence', () => {
  const expired: Entity = { ...NO_ENTITY, sequence: 9, version: 1, state: { on: false } };
  const released: Entity = { ...NO_ENTITY, sequence: 5, version: 2, state: { on: false, by: 'ann' }, notes: 'waiting' };
  expect(afterExpiry(agent, expired, released)).toEqual({ ...released, sequence: 9 });
  const granted: Entity = { ...burning, sequence: 6, version: 3, lease: { ...lease, version: 3 } };
  expect(afterExpiry(agent, expired, granted)).toEqual({ ...granted, sequence: 9 });
  // The newest commit is older than the lease that has ended.
  expect(afterExpiry(agent, { ...expired, version: 2 }, burning)).toEqual({ ...expired, version: 2 });
});
