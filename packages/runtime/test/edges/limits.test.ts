// Hunts for what happens at the limits: more commands than an agent takes, states that grow too large, rules that are
// defective, logs that hold what no agent wrote. Everyone gets an answer, nothing is lost, nothing else suffers.
import { LIMITS, type JsonObject } from '@meshforge/protocol';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import {
  commit,
  connectMesh,
  defineAgent,
  reject,
  startAgent,
  type AgentOptions,
  type Logger,
} from '@meshforge/runtime';
import type { NatsConnection } from '@nats-io/nats-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { endWithTest } from '../support/end-with-test.ts';
import { expectEachOnce, expectGapless, readCommits, type Commit } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { openConnection, sendCommand, sendQuery, type RawReply } from '../support/wire.ts';

const MISDEEDS = [
  'throws an error',
  'throws nothing',
  'changes what it was given, and throws',
  'returns nothing',
  'returns a promise',
  'returns a state without a key',
  'returns a state of the wrong type',
  'returns a state that JSON cannot say',
  'returns a state that contains itself',
  'adds data that JSON cannot say',
  'asks for a lease',
] as const;
type Misdeed = (typeof MISDEEDS)[number];

const State = z.object({ text: z.string(), more: z.unknown().optional() });
type State = z.output<typeof State>;

function misbehave(state: State | null, how: Misdeed): never {
  const good: State = { text: 'good' };
  const itself: Record<string, unknown> = {};
  itself['itself'] = itself;
  const result = (): unknown => {
    switch (how) {
      case 'throws an error':
        throw new Error('the rule is broken\r\nNats-Forged: 1');
      case 'throws nothing':
        // oxlint-disable-next-line typescript/only-throw-error -- rules in JavaScript can
        throw undefined;
      case 'changes what it was given, and throws':
        if (state !== null) state.text = 'changed';
        throw new Error('half-way');
      case 'returns nothing':
        return undefined;
      case 'returns a promise':
        return Promise.resolve(good);
      case 'returns a state without a key':
        return {};
      case 'returns a state of the wrong type':
        return { text: 7 };
      case 'returns a state that JSON cannot say':
        return { text: 'good', more: 7n };
      case 'returns a state that contains itself':
        return { text: 'good', more: itself };
      case 'adds data that JSON cannot say':
        return commit(good, { data: { number: 7n } });
      case 'asks for a lease':
        return commit(good, { expiresAt: Date.now() + 60_000 });
    }
  };
  // The types forbid all of this; a rule may be written in JavaScript.
  return result() as never;
}

const tester = defineAgent({
  name: 'tester',
  state: State,
  actions: {
    write: {
      description: 'Sets the text.',
      entity: 'any',
      event: 'written',
      data: z.object({ length: z.int() }),
      rule: (_state, { length }) => ({ text: 'x'.repeat(length) }),
    },
    append: {
      description: 'Adds to the text.',
      entity: 'any',
      event: 'appended',
      data: z.object({ length: z.int() }),
      rule: (state, { length }) => ({ text: (state?.text ?? '') + 'y'.repeat(length) }),
    },
    shout: {
      description: 'Adds data of a length to the event.',
      entity: 'any',
      event: 'shouted',
      data: z.object({ length: z.int() }),
      rule: (state, { length }) => commit(state ?? { text: '' }, { data: { text: 'z'.repeat(length) } }),
    },
    refuse: {
      description: 'Refuses with a reason.',
      entity: 'any',
      event: 'never',
      data: z.object({ reason: z.string() }),
      rule: (_state, { reason }) => reject('refused', reason),
    },
    misbehave: {
      description: 'Does what a rule must not do.',
      entity: 'any',
      event: 'misbehaved',
      data: z.object({ how: z.enum(MISDEEDS) }),
      rule: (state, { how }) => misbehave(state, how),
    },
  },
});

const leases = defineAgent({
  name: 'leases',
  state: z.object({ held: z.boolean() }),
  actions: {
    hold: {
      description: 'Holds until a time, whatever it is.',
      entity: 'any',
      event: 'held',
      data: z.object({ until: z.enum(['NaN', 'Infinity', 'beyond all dates']) }),
      rule: (_state, { until: time }) =>
        commit({ held: true }, { expiresAt: time === 'beyond all dates' ? 9e15 : Number(time) }),
    },
    keep: {
      description: 'Holds for a minute.',
      entity: 'any',
      event: 'held',
      data: z.object({}),
      rule: (_state, _data, { now }) => commit({ held: true }, { expiresAt: now + 60_000 }),
    },
  },
  lease: { expiryEvent: 'expired', events: ['acquired'], expire: () => null },
});

let server: NatsServer;
let client: NatsConnection;
/** What the agents logged as errors. */
const logged: { fields: object; text: string }[] = [];
const logger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: (fields, text) => {
    logged.push({ fields, text });
  },
};

beforeAll(async () => {
  server = await startNatsServer();
  client = await openConnection(server.url);
});

afterAll(async () => {
  await client?.close();
  await server?.stop();
});

async function start(agent: Parameters<typeof startAgent>[0] = tester, options: AgentOptions = {}): Promise<void> {
  endWithTest(await startAgent(agent, { logger, ...options, nats: { servers: server.url } }));
}

const send = (action: string, entityId: string, data: JsonObject, agent = tester.name): Promise<RawReply> =>
  sendCommand(client, agent, action, { entityId, data });

async function commitsOf(entityId: string): Promise<Commit[]> {
  return (await readCommits(client, tester.name)).filter((stored) => stored.entityId === entityId);
}

describe('an agent that takes few commands at once', () => {
  test('I2 I8: answers each of a thousand once; what it says was committed is in the log, and nothing else', async () => {
    await start(tester, { maxInFlight: 4 });
    const replies = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => send('append', `crowd-${i % 50}`, { length: 1 })),
    );
    const [full, done] = [
      replies.filter(({ errorCode }) => errorCode === 503),
      replies.filter((r) => r.errorCode === 0),
    ];
    expect(full.length + done.length).toBe(1_000);
    expect(full.length).toBeGreaterThan(0);
    expect(done.length).toBeGreaterThanOrEqual(4);
    for (const { event, payload } of full) {
      expect(event).toBe('evt.tester.rejected');
      expect(payload).toMatchObject({
        code: 'unavailable',
        reason: expect.stringMatching(/4 commands.* try again in 100 ms/),
      });
    }
    const commits = (await readCommits(client, tester.name)).filter(({ entityId }) => entityId.startsWith('crowd-'));
    expect(commits.map(({ commandId }) => commandId).sort()).toEqual(done.map(({ commandId }) => commandId).sort());
    expectGapless(commits);
  });

  test('I2 I5: clients that try again get all of their commands through, each once', async () => {
    await start(tester, { maxInFlight: 4 });
    const mesh = endWithTest(await connectMesh({ servers: server.url, timeoutMs: 60_000 }));
    const outcomes = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        mesh.request(tester, 'append', { entityId: `patient-${i % 7}`, data: { length: 1 } }),
      ),
    );
    expect(outcomes.filter(({ kind }) => kind !== 'committed' && kind !== 'replayed')).toEqual([]);
    const commits = (await readCommits(client, tester.name)).filter(({ entityId }) => entityId.startsWith('patient-'));
    expect(commits).toHaveLength(300);
    expectEachOnce(commits);
    expectGapless(commits);
  });

  test('I8: answers each of a thousand queries once', async () => {
    await start(tester, { maxInFlight: 4 });
    await send('write', 'asked', { length: 1 });
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => sendQuery(client, tester.name, 'get', { entity_id: 'asked' })),
    );
    const full = answers.filter(({ errorCode }) => errorCode === 503);
    expect(full.length).toBeGreaterThan(0);
    expect(full[0]?.body['payload']).toMatchObject({
      code: 'unavailable',
      reason: expect.stringContaining('try again in'),
    });
    expect(answers.filter(({ errorCode }) => errorCode === 0).length).toBe(1_000 - full.length);
  });
});

describe('a state', () => {
  const EMPTY = JSON.stringify({ text: '' }).length;

  test('I8: has at most 524,288 bytes; a command that would make it larger changes nothing', async () => {
    await start();
    const largest = LIMITS.stateBytes - EMPTY;
    expect((await send('write', 'large', { length: largest })).payload).toMatchObject({ entity_version: 1 });
    const refused = await send('append', 'large', { length: 1 });
    expect(refused.errorCode).toBe(400);
    expect(refused.payload).toMatchObject({ code: 'too_large', entity_id: 'large', action: 'append' });
    expect(refused.payload['reason']).toMatch(/524289 bytes: expected at most 524288/);
    expect(JSON.stringify(refused.payload).length).toBeLessThan(1_024);
    expect(await commitsOf('large')).toHaveLength(1);
    const { body } = await sendQuery(client, tester.name, 'get', { entity_id: 'large' });
    expect(body).toMatchObject({ entity_version: 1, state: { text: 'x'.repeat(largest) } });
    expect((await send('write', 'large', { length: 1 })).payload).toMatchObject({ entity_version: 2 });
  });

  test('I8: that fits, with data that does not, is refused as too large for the server', async () => {
    await start();
    for (const length of [1_048_576, 1_000_000, 16_000_000]) {
      const refused = await send('shout', 'loud', { length });
      expect(refused.payload).toMatchObject({
        code: 'too_large',
        reason: expect.stringContaining('the server takes at most'),
      });
    }
    expect(await commitsOf('loud')).toEqual([]);
    expect((await send('shout', 'loud', { length: 900_000 })).payload).toMatchObject({ entity_version: 1 });
  });

  test('I2: is never refused as too large by a replica that remembers it larger than it is', async () => {
    await start();
    await start();
    for (let i = 0; i < 24; i++) {
      const id = `shrunk-${i}`;
      await send('write', id, { length: LIMITS.stateBytes - EMPTY });
      await send('write', id, { length: 1 });
      expect((await send('append', id, { length: 2 })).payload).toMatchObject({
        entity_version: 3,
        state: { text: 'xyy' },
      });
    }
  });
});

describe('a defective rule', () => {
  test.each(MISDEEDS)('I8: that %s changes nothing, is logged and answered, and the agent lives', async (how) => {
    await start();
    const entityId = `victim of one that ${how}`;
    await send('write', entityId, { length: 1 });
    const before = logged.length;
    for (const id of [entityId, `${entityId}, absent`]) {
      const reply = await send('misbehave', id, { how });
      expect(reply.event).toBe('evt.tester.rejected');
      expect(reply.errorCode).toBe(503);
      expect(reply.payload).toMatchObject({ code: 'unavailable', entity_id: id });
      expect(reply.payload['reason']).toMatch(/^the rule of action misbehave is defective/);
    }
    expect(logged.slice(before).map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ action: 'misbehave' }),
      expect.objectContaining({ action: 'misbehave' }),
    ]);
    expect(await commitsOf(entityId)).toHaveLength(1);
    expect(await commitsOf(`${entityId}, absent`)).toEqual([]);
    const next = await send('append', entityId, { length: 1 });
    expect(next.payload).toMatchObject({ entity_version: 2, state: { text: 'xy' } });
  });

  test.each(['NaN', 'Infinity', 'beyond all dates'])(
    'I8: that sets a lease to end at %s changes nothing',
    async (time) => {
      await start(leases);
      const reply = await send('hold', time, { until: time }, leases.name);
      expect(reply.payload).toMatchObject({ code: 'unavailable', reason: expect.stringContaining('no time') });
      const { body } = await sendQuery(client, leases.name, 'history', { entity_id: time });
      expect(body['payload']).toMatchObject({ code: 'not_found' });
      const next = await send('keep', time, {}, leases.name);
      expect(next.payload).toMatchObject({ entity_version: 1, state: { held: true } });
    },
  );

  test('I8: whose reason is a forged header forges none', async () => {
    await start();
    const reason = 'no\r\nNats-Service-Error-Code: 200\u0000\u0085';
    const reply = await send('refuse', 'forged', { reason });
    expect(reply.payload).toMatchObject({ code: 'refused', reason });
    expect(reply.errorCode).toBe(422);
    expect(reply.headers?.values('Nats-Service-Error-Code')).toEqual(['422']);
    expect(reply.headers?.get('Nats-Service-Error')).toBe('no Nats-Service-Error-Code: 200');
  });

  test('I8: whose reason is a megabyte is answered, with a header that is short', async () => {
    await start();
    const reply = await send('refuse', 'long', { reason: 'r'.repeat(900_000) });
    expect(reply.errorCode).toBe(422);
    expect(reply.headers?.get('Nats-Service-Error').length).toBeLessThanOrEqual(512);
  });
});

/** Whose log other tests need not be able to read. */
const victim = { ...tester, name: 'victim' };

describe('a log that holds what no agent wrote', () => {
  test.each([
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['null', 'null'],
    ['no version', '{"entity_id":"x","state":{"text":""}}'],
    ['a version that is no number', '{"entity_id":"x","entity_version":"1","state":{"text":""}}'],
    ['a version that is no integer', '{"entity_id":"x","entity_version":0.5,"state":{"text":""}}'],
  ])('I8: such as %s makes its entity unavailable, and no other', async (what, body) => {
    await start(victim);
    const poisoned = `poisoned-${what.replaceAll(' ', '-')}`;
    await client.request(`ent.victim.${poisoned}.written`, body);
    const { errorCode, payload } = await send('append', poisoned, { length: 1 }, victim.name);
    expect(payload).toMatchObject({ code: 'unavailable', reason: expect.stringContaining('no agent wrote') });
    expect(errorCode).toBe(503);
    for (const kind of ['get', 'history'] as const) {
      const answer = await sendQuery(client, victim.name, kind, { entity_id: poisoned });
      expect(answer.body['payload']).toMatchObject({ code: 'unavailable' });
    }
    expect((await send('append', `beside ${poisoned}`, { length: 1 }, victim.name)).payload).toMatchObject({
      entity_version: 1,
    });
  });
});

test('I8: an agent that stops answers what it took in, and takes nothing more in', async () => {
  const agent = await startAgent(tester, { nats: { servers: server.url } });
  const inFlight = Array.from({ length: 500 }, (_, i) =>
    send('append', `last-${i % 10}`, { length: 1 }).catch((error: Error) => error),
  );
  await until('the agent is at work', async () =>
    (await readCommits(client, tester.name)).some((c) => c.entityId === 'last-0'),
  );
  await agent.stop();
  const answered = (await Promise.all(inFlight)).filter((reply): reply is RawReply => !(reply instanceof Error));
  const commits = (await readCommits(client, tester.name)).filter(({ entityId }) => entityId.startsWith('last-'));
  expect(commits.map(({ commandId }) => commandId).sort()).toEqual(answered.map(({ commandId }) => commandId).sort());
  await expect(send('append', 'late', { length: 1 })).rejects.toThrow(/no responders/);
});
