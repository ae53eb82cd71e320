/** Hunts commits that the expiry of a lease, already on its way, would wipe after they were acknowledged. */
import { HEADERS } from '@meshforge/protocol';
import { headers as newHeaders } from '@nats-io/nats-core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Clock } from '../src/clock.ts';
import { commit, defineAgent } from '../src/core/agent.ts';
import { digestOf } from '../src/nats/digest.ts';
import { EntityReader } from '../src/nats/entity-reader.ts';
import { EntityStore } from '../src/store/entity-store.ts';
import type { StoreOutcome } from '../src/core/outcome.ts';
import { SimulatedStream } from './simulated-stream.ts';

const END = 10_000;

const lamp = defineAgent({
  name: 'lamp',
  state: z.object({ on: z.boolean() }),
  actions: {
    light: {
      data: z.object({}),
      event: 'lit',
      entity: 'any',
      rule: (_state, _data, { now }) => commit({ on: true }, { expiresAt: now < END ? END : now + END }),
    },
    quench: { data: z.object({}), event: 'quenched', entity: 'present', rule: () => ({ on: false }) },
  },
  lease: { expiryEvent: 'burnt', events: ['acquired'], expire: () => ({ on: false }) },
});

/** A stream with a lamp that burns until END, a store on it, and the hands of the clock. */
async function burningLamp() {
  const stream = new SimulatedStream(() => 'none', false);
  const time = { now: 0, onSleep: (): void => {} };
  const clock: Clock = {
    wall: () => time.now,
    monotonic: () => time.now,
    sleep: async (ms) => {
      time.now += ms;
      time.onSleep();
      await new Promise((resolve) => setImmediate(resolve));
    },
    random: () => 0.5,
  };
  const store = new EntityStore({
    agent: lamp,
    reader: new EntityReader(lamp, stream, 1),
    requester: stream,
    clock,
    serverNow: () => time.now,
    lostBefore: () => Number.NEGATIVE_INFINITY,
    measureServerTime: () => Promise.resolve(),
    cache: { entities: 10, bytes: 100_000 },
    maxPayload: () => 1_048_576,
    onDefect: (_action, reason) => expect.unreachable(reason),
  });
  const send = (action: string, entityId = 'e'): Promise<StoreOutcome> => {
    const commandId = `${action}-${entityId}-${stream.messages.length}`;
    const headers = [[HEADERS.commandId, commandId]] as const;
    const digest = digestOf(commandId);
    return store.execute({ entityId, action, expectedVersion: undefined, data: {}, commandId, digest, headers });
  };
  expect((await send('light')).kind).toBe('committed');
  return { stream, time, send };
}

/** What the server does at the end of a lease. */
function burnOut(stream: SimulatedStream): void {
  const lit = stream.messages.findLast(({ subject }) => subject.endsWith('.lit'));
  if (lit === undefined) throw new Error('no lamp burns');
  const headers = newHeaders();
  headers.set('Nats-Scheduler', lit.subject);
  for (const name of [HEADERS.commandId, HEADERS.recent]) headers.set(name, lit.headers.get(name));
  const subject = 'ent.lamp.e.burnt';
  stream.messages.push({ subject, sequence: stream.messages.length + 1, headers, data: lit.data });
}

test('a commit in the last 250 ms waits for the end of the lease, and is decided on what comes then', async () => {
  const { stream, time, send } = await burningLamp();
  time.now = END - 250;
  time.onSleep = () => {
    if (time.now >= END + 40 && stream.messages.length === 1) burnOut(stream);
  };
  const outcome = await send('light');
  expect(time.now).toBeGreaterThanOrEqual(END);
  expect(outcome).toMatchObject({ kind: 'committed', payload: expect.stringContaining('"entity_version":2') });
  expect(stream.messages.map(({ subject }) => subject.split('.').at(-1))).toEqual(['lit', 'burnt', 'lit']);
});

test('before that it is published at once', async () => {
  const { time, send } = await burningLamp();
  time.now = END - 251;
  expect((await send('quench')).kind).toBe('committed');
  expect(time.now).toBe(END - 251);
});

test('a commit whose acknowledgement comes after the end is looked at again: what was wiped is not acknowledged', async () => {
  const { stream, time, send } = await burningLamp();
  time.now = END - 1_000;
  const publish = stream.request.bind(stream);
  stream.request = async (...request) => {
    const answer = await publish(...request);
    if (request[0].endsWith('.quenched') && time.now < END) {
      // The expiry was on its way: it lands behind the commit, and here the commit is lost with it.
      time.now = END + 5;
      stream.messages.pop();
      burnOut(stream);
    }
    return answer;
  };
  const outcome = await send('quench');
  expect(stream.messages.map(({ subject }) => subject.split('.').at(-1))).toEqual(['lit', 'burnt', 'quenched']);
  expect(outcome.kind).toBe('committed');
});

test('while an older publish waits for its answer, one against a lease that ends soon is not sent', async () => {
  const { stream, time, send } = await burningLamp();
  const publish = stream.request.bind(stream);
  let answer = (): void => {};
  const held = new Promise<void>((resolve) => (answer = resolve));
  stream.request = async (...request) => {
    if (request[0].includes('.other.') && request[2] !== undefined) await held;
    return await publish(...request);
  };
  const waiting = send('light', 'other');
  await new Promise((resolve) => setImmediate(resolve));
  // It has waited 300 ms: another publish may well need 1,200 ms, and the lease is the server's from 250 ms before its end on.
  time.now += 300;
  const left = END - time.now;
  expect(left).toBeGreaterThan(1_450);
  expect((await send('light')).kind).toBe('committed');

  time.now = END - 1_400;
  const sent = stream.messages.length;
  time.onSleep = () => {
    // Nothing goes out until the one before is answered.
    expect(stream.messages).toHaveLength(sent);
    if (time.now >= END - 1_200) answer();
  };
  expect((await send('quench')).kind).toBe('committed');
  expect(time.now).toBeGreaterThanOrEqual(END - 1_200);
  expect((await waiting).kind).toBe('committed');
});

test('a lease whose end the server keeps from telling is answered unavailable after five seconds', async () => {
  const { time, send } = await burningLamp();
  time.now = END;
  const outcome = await send('quench');
  expect(outcome).toMatchObject({ kind: 'unavailable', code: 'unavailable' });
  expect(time.now).toBeGreaterThanOrEqual(END + 5_000);
});
