// Hunts: a check that passes whatever the mesh does, and a failure nobody can read.
import { startNatsServer } from '@meshforge/nats-server';
import { commandStream, delayedCommandWildcard, inventoryContract, queuedCommandWildcard } from '@meshforge/protocol';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CheckResult, SmokeReport } from '../src/index.ts';
import { runSmoke } from '../src/index.ts';
import { startFakeAgents, type Temper } from './fake-agents.ts';

/** So short that a whole run of failures stays short. On a busy machine an answer may come later, so a check may fail of that. */
const patienceMs = 60;
/** For tests of what a check makes of an answer: that comes by then. */
const longPatienceMs = 3_000;
/** A first server may have to be downloaded. */
const serverTimeoutMs = 300_000;

const reports = new Map<Temper, SmokeReport>();
const leftovers: string[] = [];
const urls = new Map<Temper, string>();
const running: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  for (const temper of ['always yes', 'always no'] as const) {
    // A server each: runs do not meet, but two fakes would both answer.
    const server = await startNatsServer();
    running.unshift(server);
    running.unshift(await startFakeAgents(server.url, temper));
    urls.set(temper, server.url);
    await makeQueue(server.url);
    const onLeftover = (text: string): void => void leftovers.push(text);
    reports.set(temper, await runSmoke({ connection: { servers: [server.url] }, patienceMs, onLeftover }));
  }
}, serverTimeoutMs);

afterAll(async () => {
  for (const each of running) await each.stop();
});

/** So that durable commands are stored; nobody executes them. */
async function makeQueue(servers: string): Promise<void> {
  const connection = await connect({ servers });
  const { streams } = await jetstreamManager(connection);
  const agent = inventoryContract.name;
  const subjects = [queuedCommandWildcard(agent), delayedCommandWildcard(agent)];
  const settings = { allow_rollup_hdrs: true, allow_msg_schedules: true, allow_msg_ttl: true };
  await streams.add({ name: commandStream(agent), subjects, ...settings });
  await connection.close();
}

function failuresOf(temper: Temper): CheckResult[] {
  return (reports.get(temper)?.checks ?? []).filter((check) => !check.ok);
}

/** Makes one check again, with time for every answer. */
async function failureOf(temper: Temper, only: string): Promise<string | undefined> {
  const connection = { servers: [urls.get(temper) ?? ''] };
  const { checks } = await runSmoke({ connection, patienceMs: longPatienceMs, only });
  expect(checks, `checks named ${only}`).toHaveLength(1);
  return checks[0]?.error;
}

test.each(['always yes', 'always no'] as const)('most checks fail on agents that %s', (temper) => {
  const total = reports.get(temper)?.checks.length ?? 0;
  expect(total).toBeGreaterThan(80);
  expect(failuresOf(temper).length).toBeGreaterThan(total * 0.85);
});

test('every check fails on one kind of wrong agents or the other', () => {
  const failed = new Set([...failuresOf('always yes'), ...failuresOf('always no')].map((check) => check.name));
  const unfailing = (reports.get('always yes')?.checks ?? [])
    .map(({ name }) => name)
    .filter((name) => !failed.has(name));
  expect(unfailing).toEqual([]);
});

test('every failure says what was expected', () => {
  for (const { error } of [...failuresOf('always yes'), ...failuresOf('always no')]) {
    expect(error).toMatch(/expected/);
    expect(error).toMatch(/, got |within \d+ ms/);
  }
});

test('a failure shows the expected and the actual value', async () => {
  expect(await failureOf('always yes', 'makes the next one')).toBe(
    'entity_version in the reply to cmd.inventory.update: expected 2, got 1',
  );
  expect(await failureOf('always yes', 'an unknown action')).toMatch(
    /^the reply to cmd\.inventory\.explode: expected rejected: unknown_action, got committed evt\.inventory\.updated \{/,
  );
  expect(await failureOf('always no', 'a created entity has version 1')).toMatch(
    /expected committed as evt\.inventory\.created with entity_version 1, got malformed evt\.inventory\.rejected .*invalid_command/,
  );
  expect(await failureOf('always yes', 'expires by itself')).toMatch(
    /^expected evt\.lock\.expired within \d+ ms; last seen: evt\./,
  );
});

test('agents that execute no durable command fail those checks by what is missing', async () => {
  for (const [name, missing] of [
    ['is stored, executed', 'expected the outcome of'],
    ['again with its Nats-Msg-Id', 'expected the outcome of'],
    ['comes when its time has come', 'expected the outcome of'],
    ['a malformed durable command', 'letters.inventory.drop: expected a reply'],
  ] as const) {
    expect(await failureOf('always yes', name)).toContain(missing);
  }
});

test('agents that always say yes pass what is asked of the reply alone', async () => {
  expect(await failureOf('always yes', 'a created entity has version 1')).toBeUndefined();
});

test('what cannot be removed is named', () => {
  // On a busy machine one or the other is not answered in so short a time; it is named too, with that reason.
  const named = expect.stringMatching(/^smoke-[0-9a-f]{8}-\d+-item: get of smoke-.*expected a result, got /);
  expect(leftovers).toContainEqual(named);
});

test('agents that do not answer a command fail the check in the time one waits for them', async () => {
  const server = await startNatsServer();
  const agents = await startFakeAgents(server.url, 'silent');
  try {
    const connection = { servers: [server.url] };
    const { checks, failed } = await runSmoke({ connection, patienceMs, only: 'a created entity has version 1' });
    expect(failed).toBe(1);
    expect(checks[0]?.error).toBe('cmd.inventory.create: expected a reply within 60 ms, got none: timeout');
  } finally {
    await agents.stop();
    await server.stop();
  }
});
