/** Hunts a safety net that ends leases too early: before the server has had its time, or by a clock that is wrong here. */
import { HEADERS } from '@meshforge/protocol';
import { headers as newHeaders } from '@nats-io/nats-core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Clock } from '../src/clock.ts';
import { annotate, commit, defineAgent, reject, type AnyAgent } from '../src/core/agent.ts';
import type { Command } from '../src/core/decide.ts';
import { LEASE_LOST_MS } from '../src/core/entity.ts';
import { EntityReader } from '../src/nats/entity-reader.ts';
import { EntityStore } from '../src/store/entity-store.ts';
import { digestOf } from '../src/nats/digest.ts';
import { SimulatedStream, type Fault } from './simulated-stream.ts';

/** So long the server has to end a lease, in milliseconds. */
const GRACE = LEASE_LOST_MS;

/** A clock with hands. */
function hands() {
  const time = { monotonic: 100, wall: 1_000_000 };
  const clock: Clock = {
    wall: () => time.wall,
    monotonic: () => time.monotonic,
    sleep: async (ms) => {
      time.monotonic += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
    random: () => 0.5,
  };
  return { time, clock };
}

const END = 10_000;
const lamp = defineAgent({
  name: 'lamp',
  state: z.object({ on: z.boolean() }),
  actions: {
    light: {
      data: z.object({}),
      event: 'lit',
      entity: 'any',
      rule: (_state, _data, { now }) => commit({ on: true }, { expiresAt: now + END }),
    },
    note: {
      data: z.object({}),
      event: 'noted',
      entity: 'present',
      rule: () => annotate('waiting'),
    },
    relight: {
      data: z.object({}),
      event: 'relit',
      entity: 'present',
      rule: ({ on }) => (on ? reject('burns', 'it burns') : commit({ on })),
    },
    quench: { data: z.object({}), event: 'quenched', entity: 'present', rule: () => ({ on: false }) },
  },
  lease: { expiryEvent: 'burnt', events: ['lit'], expire: () => ({ on: false }) },
});

/** A lamp whose schedule the server has lost. */
async function lostLamp({ measure = (): Promise<void> => Promise.resolve(), agent = lamp as AnyAgent } = {}) {
  const { clock, time } = hands();
  const faults: Fault[] = [];
  const stream = new SimulatedStream((kind) => (kind === 'publish' ? (faults.shift() ?? 'none') : 'none'), false);
  const store = new EntityStore({
    agent,
    reader: new EntityReader({ agent, requester: stream, isReplicated: () => false, serverNow: () => time.monotonic }),
    requester: stream,
    clock,
    serverNow: () => time.monotonic,
    measureServerTime: measure,
    cache: { entities: 10, bytes: 100_000 },
    maxPayload: () => 1_048_576,
    onDefect: (_action, reason) => expect.unreachable(reason),
  });
  const send = (action: string, more: Partial<Command> = {}) => {
    const commandId = `${action}-${stream.history.length}`;
    const headers = [
      [HEADERS.commandId, commandId],
      [HEADERS.correlationId, 'correlation'],
      [HEADERS.traceparent, 'trace'],
    ] as const;
    const command = { entityId: 'e', action, expectedVersion: undefined, data: {}, commandId, bodyDigest: 'body' };
    return store.execute({ ...command, digest: digestOf(commandId), headers, ...more });
  };
  await send('light');
  const events = (): (string | undefined)[] => stream.history.map(({ subject }) => subject.split('.').at(-1));
  return { events, faults, send, store, stream, time };
}

const REFUSED = { queued: { sequence: 7, storedAt: 1 }, expectedVersion: 9 };

test.each([
  ['alone', async () => {}],
  ['beside notes', async ({ send }: Lost) => void (await send('note'))],
  ['beside a refused durable command', async ({ send }: Lost) => void (await send('note', REFUSED))],
])('a lost lease is ended two seconds after its end, and not before (%s)', async (_, prepare) => {
  for (const how of ['sweep', 'command'] as const) {
    const lost = await lostLamp();
    await prepare(lost);
    const { events, send, store, stream, time } = lost;
    const before = events();
    time.monotonic = END + 100 + GRACE;
    await store.endLostLease('e');
    expect(events()).toEqual(before);
    time.monotonic += 1;
    if (how === 'sweep') await store.endLostLease('e');
    else expect(await send('relight')).toMatchObject({ kind: 'committed' });
    expect(events()).toEqual([...before, 'burnt', ...(how === 'sweep' ? [] : ['relit'])]);
    const [lit] = stream.history;
    const expiry = stream.history[before.length];
    expect(expiry?.subject).toBe('ent.lamp.e.x.burnt');
    expect(JSON.parse(new TextDecoder().decode(expiry?.data))).toEqual({
      entity_id: 'e',
      entity_version: 1,
      state: { on: true },
    });
    // What is derived from it gets the same ids as what is derived from the server's own.
    for (const name of Object.values(HEADERS))
      expect([name, expiry?.headers.get(name)]).toEqual([name, lit?.headers.get(name)]);
    // If the schedule is there after all, it goes with it.
    expect(expiry?.headers.get('Nats-Schedule-Next')).toBe('purge');
    expect(expiry?.headers.get('Nats-Scheduler')).toBe('ent.lamp.e.1.lit');
    // The id of a command could be the same, and keep it from being stored.
    expect(expiry?.headers.get('Nats-Msg-Id')).toBe('');
    await store.endLostLease('e');
    expect(events().filter((event) => event === 'burnt')).toHaveLength(1);
    expect(await send('quench')).toMatchObject({ kind: 'committed' });
  }
});

type Lost = Awaited<ReturnType<typeof lostLamp>>;

test('a lease whose commit has left the log is ended all the same', async () => {
  const { events, send, stream, time } = await lostLamp();
  await send('note');
  stream.messages.shift();
  time.monotonic = END + 100 + GRACE + 1;
  expect(await send('relight')).toMatchObject({ kind: 'committed' });
  expect(events()).toEqual(['lit', 'noted', 'burnt', 'relit']);
  expect(JSON.parse(new TextDecoder().decode(stream.history[2]?.data))).toMatchObject({ entity_version: 1 });
});

test('a late expiry of the server is void behind that of the agent, and behind a grant', async () => {
  const { send, store, stream, time } = await lostLamp();
  const [lit] = stream.history;
  time.monotonic = END + 100 + GRACE + 1;
  await store.endLostLease('e');
  const lateExpiry = (): void => {
    const headers = newHeaders();
    for (const name of lit?.headers.keys() ?? []) {
      if (name.startsWith('Mesh-')) headers.set(name, lit?.headers.get(name) ?? '');
    }
    headers.set('Nats-Scheduler', 'ent.lamp.e.1.lit');
    const sequence = stream.history.length + 1;
    const late = {
      subject: 'ent.lamp.e.x.burnt',
      sequence,
      headers,
      data: lit?.data ?? new Uint8Array(),
      checkedAt: 0,
    };
    stream.messages.push(late);
    stream.history.push(late);
  };
  lateExpiry();
  expect(await send('relight')).toMatchObject({
    kind: 'committed',
    payload: expect.stringContaining('"entity_version":2'),
  });
  await send('light');
  lateExpiry();
  expect(await send('relight'), 'the lamp burns').toMatchObject({ kind: 'rejected', code: 'burns' });
  expect(await send('quench')).toMatchObject({
    kind: 'committed',
    payload: expect.stringContaining('"entity_version":4'),
  });
});

test('a lease is not ended when its end was only the fault of a clock here, nor when the server does not tell its time', async () => {
  const wrong = await lostLamp({
    measure: () => {
      wrong.time.monotonic = 500;
      return Promise.resolve();
    },
  });
  wrong.time.monotonic = END + 60_000;
  await wrong.store.endLostLease('e');
  expect(wrong.events()).toEqual(['lit']);

  const silent = await lostLamp({ measure: () => Promise.reject(new Error('no answer')) });
  silent.time.monotonic = END + 60_000;
  await silent.store.endLostLease('e');
  expect(silent.events()).toEqual(['lit']);
  expect(await silent.send('quench')).toMatchObject({ kind: 'unavailable' });
});

test('a command is answered although the stream takes no expiry in', async () => {
  const { events, faults, send, time } = await lostLamp();
  time.monotonic = END + 60_000;
  faults.push(...Array.from({ length: 100 }, () => 'full' as const));
  expect(await send('quench')).toMatchObject({ kind: 'unavailable' });
  faults.length = 0;
  expect(await send('quench')).toMatchObject({ kind: 'committed' });
  expect(events()).toEqual(['lit', 'burnt', 'quenched']);
});

test('two that end the same lost lease end it once', async () => {
  const { events, store, stream, time } = await lostLamp();
  time.monotonic = END + 60_000;
  await Promise.all([store.endLostLease('e'), store.endLostLease('e')]);
  expect(events()).toEqual(['lit', 'burnt']);
  expect(stream.history).toHaveLength(2);
});
