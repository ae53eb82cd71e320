/** Hunts leases that a message beside them ends or moves, and messages that outgrow what the server takes. */
import { HEADERS, ID_HEADERS, LIMITS, TRACE_HEADERS } from '@meshforge/protocol';
import type { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { annotate, commit, defineAgent } from '../src/core/agent.ts';
import { decide, type Command, type CommitPlan } from '../src/core/decide.ts';
import { NO_ENTITY, type Entity, type StandingLease } from '../src/core/entity.ts';
import { refusal } from '../src/core/outcome.ts';
import { NO_COMMANDS, RECENT_BYTES, RECENT_COMMANDS, remember } from '../src/core/recent.ts';
import { publishCommit, readLease, type CommitMessage } from '../src/nats/commit-publisher.ts';
import { prepareCommit, prepareMark, prepareRecord, type Attempt } from '../src/store/attempt.ts';
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
  bodyDigest: 'body',
  headers: [],
});

function attempt(entity: Entity, action: string, data: object = {}): Attempt {
  const made = command(action, data);
  const plan = decide(agent, entity, made, 0) as CommitPlan;
  expect(plan.kind).toBe('commit');
  return prepareCommit(agent, entity, made, plan, 1_048_576) as Attempt;
}

/** A message as it reaches the server. */
async function sentAs(message: CommitMessage) {
  const stream = new SimulatedStream(() => 'none', false);
  await publishCommit(stream, agent, { ...message, expectedSequence: 0 });
  const [stored] = stream.messages;
  return stored ?? expect.unreachable('it was not stored');
}

test('a commit that sets a lease has a slot of its own, and takes out the schedule of the one before', async () => {
  const { headers, subject } = await sentAs(attempt(burning, 'light').message);
  expect(subject).toBe('ent.lamp.e.2.lit');
  expect(headers.get('Nats-Schedule')).toBe('@at 1970-01-01T00:00:09.000Z');
  expect(headers.get('Nats-Schedule-Target')).toBe('ent.lamp.e.x.burnt');
  expect(headers.get('Nats-Schedule-Next')).toBe('purge');
  expect(headers.get('Nats-Scheduler')).toBe('ent.lamp.e.1.lit');
  const first = await sentAs(attempt(NO_ENTITY, 'light').message);
  expect([first.subject, first.headers.has('Nats-Scheduler')]).toEqual(['ent.lamp.e.1.lit', false]);
});

test('a change of the notes alone carries the lease on and leaves its schedule, the state and the version alone', async () => {
  const made = attempt(burning, 'note', { text: 'x' });
  expect(made.entityAt(2)).toMatchObject({ version: 1, state: { on: true }, lease, notes: 'x' });
  const { headers, subject } = await sentAs(made.message);
  expect(subject).toBe('ent.lamp.e.0.noted');
  expect(readLease(headers.get(HEADERS.lease))).toEqual(lease);
  for (const name of ['Nats-Schedule', 'Nats-Schedule-Next', 'Nats-Scheduler']) expect(headers.has(name)).toBe(false);
});

test('a record of a refusal, and a mark, leave all that stands as it is', async () => {
  const entity: Entity = { ...burning, notes: 'note', fences: 'job.5', mark: { sequence: 7, storedAt: 70 } };
  const refused = { ...command('quench'), queued: { sequence: 8, storedAt: 80 } };
  const outcome = refusal('rejected', { entity_id: 'e', action: 'quench', code: 'no', reason: 'why' });
  const record = prepareRecord(agent, entity, refused, outcome);
  const { bytes: _size, recent: _recent, ...standing } = entity;
  expect(record.entityAt(2)).toMatchObject({ ...standing, sequence: 2, mark: refused.queued });
  for (const message of [record.message, prepareMark('e', entity, refused.queued)]) {
    const { data, headers, subject } = await sentAs(message);
    expect(subject).toBe('ent.lamp.e.refused');
    expect(JSON.parse(Buffer.from(data).toString())).toMatchObject({ entity_version: 1, state: { on: true } });
    expect(readLease(headers.get(HEADERS.lease))).toEqual(lease);
    const kept = [HEADERS.notes, HEADERS.fences, HEADERS.mark].map((name) => headers.get(name));
    expect(kept).toEqual(['note', 'job.5', '8.28']);
    for (const name of ['Nats-Schedule', 'Nats-Schedule-Next', 'Nats-Scheduler']) expect(headers.has(name)).toBe(false);
    // The id of a mark could be that of a command, and keep it from being stored.
    expect(headers.get('Nats-Msg-Id')).toBe(message === record.message ? refused.commandId : '');
  }
});

test('any other commit ends it, and its schedule with it', async () => {
  const made = attempt(burning, 'quench');
  expect(made.entityAt(2).lease).toBeUndefined();
  const { headers, subject } = await sentAs(made.message);
  expect(subject).toBe('ent.lamp.e.0.quenched');
  expect(headers.get('Nats-Schedule-Next')).toBe('purge');
  expect(headers.get('Nats-Scheduler')).toBe('ent.lamp.e.1.lit');
  expect(headers.has(HEADERS.lease)).toBe(false);
});

test('where no lease stands there is none to keep', async () => {
  const { lease: _none, ...dark } = burning;
  const made = attempt(dark, 'note', { text: 'x' });
  expect(made.entityAt(2).lease).toBeUndefined();
  expect((await sentAs(made.message)).headers.has(HEADERS.lease)).toBe(false);
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
    entity = (prepareCommit(agent, entity, big, plan, 1_048_576) as Attempt).entityAt(3 + i);
    expect(entity.recent.text.length + entity.notes.length).toBeLessThanOrEqual(RECENT_BYTES);
  }
  expect(entity.recent.count).toBeGreaterThan(10);
});

test('all headers of a message fit into what the server takes, however long each of them is', async () => {
  const name = 'n'.repeat(LIMITS.nameCharacters);
  const wide = (characters: number): string => '😀'.repeat(characters);
  const longest = { name, lease: { ...agent.lease, expiryEvent: name, events: [name], expire: () => null } };
  let entity: Entity = { ...burning, lease: { endsAt: 253_402_300_799_999, event: name, version: 2 ** 53 - 3 } };
  entity = {
    ...entity,
    sequence: 2 ** 53 - 1,
    version: 2 ** 53 - 2,
    mark: { sequence: 2 ** 53 - 1, storedAt: 2 ** 53 - 1 },
    fences: 'f'.repeat(LIMITS.fencesBytes),
  };
  const entityId = wide(LIMITS.entityIdCharacters);
  const ids = ID_HEADERS.map((header) => [header, wide(LIMITS.idHeaderCharacters)] as const);
  const traces = TRACE_HEADERS.map((header) => [header, 't'.repeat(LIMITS.traceHeaderBytes)] as const);
  const big: Command = { ...command('light'), entityId, commandId: ids[0]?.[1] ?? '', headers: [...ids, ...traces] };
  const outcome = { event: name, state: { text: 'o'.repeat(1_170) } };
  let recent = NO_COMMANDS;
  for (let i = 0; i < RECENT_COMMANDS; i++) {
    const earlier = {
      digest: `digest-${i}`.padEnd(12, '-'),
      body: '123456',
      version: 2 ** 53 - 2,
      sequence: 2 ** 53 - 1,
    };
    recent = remember(recent, { ...earlier, inline: outcome });
  }
  expect(recent.bytes).toBeGreaterThan(0.95 * RECENT_BYTES);
  const expiresAt = 253_402_300_799_999;
  const plan = { kind: 'commit', event: name, version: 2 ** 53 - 1, state: null, data: undefined, expiresAt } as const;
  for (const notes of ['', 'n'.repeat(LIMITS.noteBytes)]) {
    const accepted = { ...plan, isUnchanged: false, notes, fences: entity.fences };
    const { message } = prepareCommit(agent, { ...entity, recent }, big, accepted, 1_048_576) as Attempt;
    let bytes = 0;
    const port = new SimulatedStream(() => 'none', false);
    const request = port.request.bind(port);
    port.request = (subject, data, headers) => {
      bytes = (headers as MsgHdrsImpl).encode().length;
      return request(subject, data, headers);
    };
    await publishCommit(port, longest, message);
    expect(bytes).toBeLessThan(65_535);
    expect(bytes).toBeGreaterThan(60_000);
  }
});

test('what is remembered is what the log holds, and nothing that the rule still has in hand', () => {
  const made: { on: boolean; by?: string | undefined } = { on: true, by: undefined };
  const keeping = defineAgent({
    ...agent,
    actions: { put: { data: z.object({}), event: 'put', entity: 'any', rule: () => made } },
  });
  const put = command('put');
  const plan = decide(keeping, NO_ENTITY, put, 0) as CommitPlan;
  const { entityAt } = prepareCommit(keeping, NO_ENTITY, put, plan, 1_048_576) as Attempt;
  made.on = false;
  expect(entityAt(1).state).toStrictEqual({ on: true });
});

test('a record fits beside the largest state, and tells what it will tell again', async () => {
  const maxPayload = 200_000;
  const big = command('light');
  const lit = (by: string): ReturnType<typeof prepareCommit> => {
    const plan = { ...(decide(agent, NO_ENTITY, big, 0) as CommitPlan), state: { on: true, by } };
    return prepareCommit(agent, NO_ENTITY, big, plan, maxPayload);
  };
  let [fits, exceeds] = [0, maxPayload];
  while (exceeds - fits > 1) {
    const middle = Math.floor((fits + exceeds) / 2);
    if ('kind' in lit('x'.repeat(middle))) exceeds = middle;
    else fits = middle;
  }
  const entity = (lit('x'.repeat(fits)) as Attempt).entityAt(1);
  const refused = { ...command('quench'), queued: { sequence: 8, storedAt: 80 } };
  const payload = { entity_id: 'e', code: 'no', reason: 'é'.repeat(100_000), more: 'é'.repeat(100_000) };
  const { message, outcome } = prepareRecord(agent, entity, refused, refusal('denied', payload));
  const { data } = await sentAs(message);
  expect(data.length + 65_536).toBeLessThanOrEqual(maxPayload);
  const { refusal: recorded } = JSON.parse(Buffer.from(data).toString()) as {
    refusal: { kind: string; payload: object };
  };
  expect(outcome).toMatchObject({ kind: 'denied', payload: JSON.stringify(recorded.payload) });
  expect(recorded.payload).toMatchObject({ entity_id: 'e', code: 'no', reason: `${'é'.repeat(1_024)}…` });
});
