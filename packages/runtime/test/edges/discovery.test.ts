// Hunts for what a stranger with nothing but a NATS client cannot find out, or finds out wrongly: who serves, what each
// action takes, how often it was used. The schemas in the endpoints must agree with what the agent really takes.
import { commandsOf, inventoryContract, lockContract, type AgentContract, type JsonObject } from '@meshforge/protocol';
import { createInbox } from '@nats-io/nats-core';
import { Svcm, type ServiceInfo, type ServiceStats } from '@nats-io/services';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAgentProcess } from '../support/agent-process.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { until } from '../support/until.ts';
import { pingAgents, sendCommand, sendQuery } from '../support/wire.ts';
import { AGENTS, INVENTORY, LOCKS, startMesh, type AgentSpec, type Mesh } from './support/mesh.ts';

let mesh: Mesh;

beforeAll(async () => {
  mesh = await startMesh();
});

afterAll(async () => {
  await mesh?.stop();
});

/** As `nats micro info <name>` asks. */
async function infoOf({ name }: AgentSpec): Promise<ServiceInfo> {
  return (await mesh.client.request(`$SRV.INFO.${name}`, '', { timeout: 30_000 })).json<ServiceInfo>();
}

async function statsOf({ name }: AgentSpec): Promise<ServiceStats> {
  return (await mesh.client.request(`$SRV.STATS.${name}`, '', { timeout: 30_000 })).json<ServiceStats>();
}

/** Commands as JSON, each with whether its schema takes it. Rules that compare keys are none that JSON Schema can say. */
const COMMANDS: Readonly<Record<string, readonly (readonly [action: string, body: JsonObject, good: boolean])[]>> = {
  inventory: [
    ['create', { entity_id: 'a', data: { name: 'bolt' } }, true],
    ['create', { entity_id: 'b', expected_version: 0, data: { name: 'bolt', quantity: 3 } }, true],
    ['create', { entity_id: 'c' }, false],
    ['create', { entity_id: 'c', data: {} }, false],
    ['create', { entity_id: 'c', data: { name: '' } }, false],
    ['create', { entity_id: 'c', data: { name: 'bolt', quantity: -1 } }, false],
    ['create', { entity_id: 'c', data: { name: 'bolt', quantity: 1.5 } }, false],
    ['create', { entity_id: 'c', data: { name: 'bolt', color: 'red' } }, false],
    ['create', { entity_id: '', data: { name: 'bolt' } }, false],
    ['create', { entity_id: '😀'.repeat(256), data: { name: 'bolt' } }, true],
    ['create', { entity_id: '😀'.repeat(257), data: { name: 'bolt' } }, false],
    ['create', { entity_id: 'c', expectedVersion: 0, data: { name: 'bolt' } }, false],
    ['create', { entity_id: 'd', lease: { resource: 'shelf', fencing_token: 1 }, data: { name: 'bolt' } }, true],
    ['create', { entity_id: 'c', lease: { resource: 'shelf' }, data: { name: 'bolt' } }, false],
    ['create', { entity_id: 'c', fencing_token: 1, data: { name: 'bolt' } }, false],
    ['create', { entity_id: 'c', agent_version: 0, data: { name: 'bolt' } }, false],
    ['create', { entity_id: 'c', expected_version: -1, data: { name: 'bolt' } }, false],
    ['update', { entity_id: 'a', data: { name: 'nut' } }, true],
    ['update', { entity_id: 'a', data: {} }, false],
    ['update', { entity_id: 'a' }, false],
    ['adjust', { entity_id: 'a', data: { delta: 5 } }, true],
    ['adjust', { entity_id: 'a', data: { delta: 0 } }, false],
    ['reserve', { entity_id: 'a', data: { order_id: 'o', quantity: 1 } }, true],
    ['reserve', { entity_id: 'a', data: { order_id: 'p', quantity: 0 } }, false],
    ['release', { entity_id: 'a', data: { order_id: 'o' } }, true],
    ['fulfil', { entity_id: 'a', data: {} }, false],
    ['delete', { entity_id: 'b' }, true],
    ['delete', { entity_id: 'a', data: { force: true } }, false],
  ],
  sys_lock_manager: [
    ['acquire', { entity_id: 'a', data: { owner_id: 'me' } }, true],
    ['acquire', { entity_id: 'b', data: { owner_id: 'me', ttl_ms: 500 } }, true],
    ['acquire', { entity_id: 'c', data: { owner_id: 'me', ttl_ms: 499 } }, false],
    ['acquire', { entity_id: 'c', data: { owner_id: 'me', wait_ms: 600_001 } }, false],
    ['acquire', { entity_id: 'c', data: {} }, false],
    ['acquire', { entity_id: 'c' }, false],
    ['refresh', { entity_id: 'a', data: { owner_id: 'me', fencing_token: 1 } }, true],
    ['refresh', { entity_id: 'a', data: { owner_id: 'me', fencing_token: 0 } }, false],
    ['release', { entity_id: 'a', data: { owner_id: 'me' } }, true],
    ['release', { entity_id: 'a', data: { owner_id: 7 } }, false],
  ],
};

describe.each([
  { ...INVENTORY, contract: inventoryContract as AgentContract },
  { ...LOCKS, contract: lockContract as AgentContract },
])('$name', ({ contract, ...spec }) => {
  test('answers PING, INFO and STATS, asked for all services, by its name and by its id', async () => {
    const { id, version } = await infoOf(spec);
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    const expected = new Map<string, number>();
    for (const verb of ['PING', 'INFO', 'STATS']) {
      expected.set(`$SRV.${verb}`, AGENTS.length);
      for (const rest of [spec.name, `${spec.name}.${id}`]) expected.set(`$SRV.${verb}.${rest}`, 1);
    }
    const found = new Map<string, string[]>([...expected.keys()].map((subject) => [subject, []]));
    for (const [subject, ids] of found) {
      const reply = createInbox();
      mesh.client.subscribe(reply, {
        callback: (_, message) => {
          ids.push(message.json<{ id: string }>().id);
        },
      });
      mesh.client.publish(subject, '', { reply });
    }
    await until('all are answered', () =>
      [...found].every(([subject, ids]) => ids.length >= (expected.get(subject) ?? 0)),
    );
    await pingAgents(mesh.client, spec.name);
    for (const [subject, ids] of found) {
      expect(ids, `answers on ${subject}`).toHaveLength(expected.get(subject) ?? 0);
      expect(ids).toContain(id);
    }
  });

  test('is found by the client of the services module', async () => {
    const found: string[] = [];
    for await (const { name } of await new Svcm(mesh.client).client().ping(spec.name)) found.push(name);
    expect(found).toEqual([spec.name]);
  });

  test('lists an endpoint for each action and each query, all of one queue group', async () => {
    const { description, endpoints } = await infoOf(spec);
    expect(description).toBe(contract.description);
    const actions = commandsOf(contract.actions).map(([action]) => `cmd.${spec.token}.${action}`);
    const queries = ['get', 'history', 'list', 'outcome'].map((kind) => `qry.${spec.token}.${kind}`);
    expect(endpoints.map(({ subject }) => subject).sort()).toEqual([...actions, ...queries].sort());
    expect(new Set(endpoints.map((endpoint) => endpoint.queue_group))).toEqual(new Set([spec.name]));
    for (const [action, { event }] of commandsOf(contract.actions)) {
      const endpoint = endpoints.find(({ subject }) => subject === `cmd.${spec.token}.${action}`);
      expect(endpoint?.metadata).toMatchObject({ kind: 'command', event });
    }
  });

  test.each(COMMANDS[spec.name] ?? [])(
    '%s %j: its schema and the agent agree whether it is well-formed',
    async (action, body, good) => {
      const { endpoints } = await infoOf(spec);
      const { metadata } = endpoints.find(({ subject }) => subject === `cmd.${spec.token}.${action}`) ?? {};
      const schema = JSON.parse(metadata?.['request_schema'] ?? 'false') as JsonObject;
      const formats = { 'date-time': true } as const;
      const validate = new Ajv2020({ strict: true, allowUnionTypes: true, formats }).compile(schema);
      expect(validate(body)).toBe(good);
      const message = await mesh.client.request(`cmd.${spec.token}.${action}`, JSON.stringify(body), {
        timeout: 30_000,
      });
      const { event, payload } = message.json<{ event: string; payload: JsonObject }>();
      expect(payload['code'] === 'invalid_command').toBe(!good);
      if (payload['code'] !== undefined) return;

      const answers = new Ajv2020({ strict: true, allowUnionTypes: true, formats });
      const answer = answers.compile(JSON.parse(metadata?.['response_schema'] ?? 'false') as JsonObject);
      expect(answer(payload), `the answer: ${answers.errorsText(answer.errors)}`).toBe(true);
      expect(event).toBe(`evt.${spec.token}.${metadata?.['event']}`);
    },
  );

  test('queries take what their schemas take', async () => {
    const { endpoints } = await infoOf(spec);
    for (const [kind, query, good] of [
      ['get', { entity_id: 'a' }, true],
      ['get', { entity_id: 'a', min_version: 0 }, false],
      ['history', { entity_id: 'a', limit: 1_000 }, true],
      ['history', { entity_id: 'a', limit: 1_001 }, false],
      ['list', {}, true],
      ['list', { after: '', limit: 1 }, true],
      ['list', { limit: 0 }, false],
    ] as const) {
      const endpoint = endpoints.find(({ subject }) => subject === `qry.${spec.token}.${kind}`);
      const schema = JSON.parse(endpoint?.metadata?.['request_schema'] ?? 'false') as JsonObject;
      expect(new Ajv2020({ strict: true }).compile(schema)(query)).toBe(good);
      const { errorCode } = await sendQuery(mesh.client, spec.name, kind, query);
      expect(errorCode === 400).toBe(!good);
    }
  });
});

test('STATS counts each action by what became of its commands', async () => {
  const outcomesOf = (stats: ServiceStats, action: string): Record<string, number> => {
    const endpoint = stats.endpoints?.find(({ name }) => name === action);
    return (endpoint?.data as { outcomes?: Record<string, number> } | undefined)?.outcomes ?? {};
  };
  const before = await statsOf(INVENTORY);
  const send = (action: string, more: { expectedVersion?: number; data?: JsonObject; commandId?: string }): unknown =>
    sendCommand(mesh.client, 'inventory', action, { entityId: 'counted', ...more });
  await send('create', { data: { name: 'bolt' } });
  await send('create', { data: { name: 'bolt' } });
  await send('create', { data: {} });
  await send('adjust', { data: { delta: 1 }, commandId: 'counted once' });
  await send('adjust', { data: { delta: 1 }, commandId: 'counted once' });
  await send('adjust', { data: { delta: 1 }, expectedVersion: 1 });
  await send('adjust', { data: { delta: -9 } });

  const after = await statsOf(INVENTORY);
  const gained = (action: string): Record<string, number> => {
    const earlier = outcomesOf(before, action);
    const differences = Object.entries(outcomesOf(after, action)).map(
      ([kind, n]) => [kind, n - (earlier[kind] ?? 0)] as const,
    );
    return Object.fromEntries(differences.filter(([, n]) => n !== 0));
  };
  expect(gained('create')).toEqual({ committed: 1, rejected: 2 });
  expect(gained('adjust')).toEqual({ committed: 1, replayed: 1, conflict: 1, rejected: 1 });
  expect(gained('update')).toEqual({});
  const adjusts = (stats: ServiceStats) => stats.endpoints?.find(({ name }) => name === 'adjust');
  expect((adjusts(after)?.num_requests ?? 0) - (adjusts(before)?.num_requests ?? 0)).toBe(4);
  expect(adjusts(after)?.num_errors).toBe(0);
  expect(adjusts(after)?.data).toMatchObject({ max_ms: expect.any(Number), mean_ms: expect.any(Number) });
});

test('every replica answers PING, and one that ends does not any more', async () => {
  const { name, main } = INVENTORY;
  const natsUrl = mesh.server.url;
  const more = await Promise.all([1, 2].map(() => startAgentProcess({ name, main, natsUrl })));
  for (const agent of more) endWithTest(agent);
  await until('three replicas answer', async () => (await pingAgents(mesh.client, name)).length === 3);
  expect(await more[0]?.terminate()).toEqual({ code: 0, signal: null });
  await until('two replicas answer', async () => (await pingAgents(mesh.client, name)).length === 2);
});
