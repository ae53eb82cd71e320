// Hunts for what outlives a stop, and for starts that do not find what an earlier one left. Needs the built packages.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer } from '@meshforge/nats-server';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect, onTestFinished, test } from 'vitest';
import { MeshRun, temporaryCheckout } from './support/mesh-run.ts';

async function client(url: string): Promise<NatsConnection> {
  const connection = await connect({ servers: url });
  onTestFinished(() => connection.close());
  return connection;
}

/** The processes of the agents, as their logs name them. */
function agentPids(root: string): number[] {
  return ['inventory', 'sys_lock_manager'].map((agent) => {
    const [line = ''] = readFileSync(join(root, '.meshforge/logs', `${agent}.log`), 'utf8').split('\n');
    return (JSON.parse(line) as { pid: number }).pid;
  });
}

/** A process that has ended may stay in the table until somebody asks for its code; that one runs no more. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function untilGone(pids: readonly number[]): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (pids.some(isRunning)) {
    if (performance.now() > deadline) throw new Error(`still running: ${pids.filter(isRunning).join(', ')}`);
    await sleep(50);
  }
}

/** Everything that could be left on a server: streams, the last message that each took in, consumers. */
async function assetsOn(url: string): Promise<Record<string, { lastSequence: number; consumers: readonly string[] }>> {
  const manager = await jetstreamManager(await client(url));
  const assets: Awaited<ReturnType<typeof assetsOn>> = {};
  for await (const { config, state } of manager.streams.list()) {
    const consumers: string[] = [];
    for await (const { name } of manager.consumers.list(config.name)) consumers.push(name);
    assets[config.name] = { lastSequence: state.last_seq, consumers };
  }
  return assets;
}

async function stopped(run: MeshRun): Promise<void> {
  run.kill('SIGINT');
  expect(await run.exited).toBe(0);
}

test('a start fits on one screen: a story, one line for the checks, the commands', { timeout: 60_000 }, async () => {
  const run = new MeshRun(temporaryCheckout());
  await run.isUp();
  // How long a step takes decides how often it says that it still runs.
  const lines = run.output.split('\n').filter((line) => !line.startsWith('…'));
  expect(lines.length).toBeLessThanOrEqual(40);
  expect(lines.filter((line) => line.length > 100)).toEqual([]);
  const events = Array.from(run.output.matchAll(/• (evt\.\S+)/g), ([, subject]) => subject);
  expect(events).toHaveLength(6);
  expect(new Set(events)).toEqual(
    new Set([
      'evt.inventory.adjusted',
      'evt.inventory.conflict',
      'evt.inventory.created',
      'evt.lock.acquired',
      'evt.lock.denied',
      'evt.lock.expired',
    ]),
  );
  const [, passed, all] = /✓ (\d+) of (\d+) checks passed/.exec(run.output) ?? [];
  expect(Number(passed)).toBeGreaterThan(90);
  expect(passed).toBe(all);
  await stopped(run);
});

test(
  'a mesh shows events, stops at once on Ctrl-C, and the next start finds its data',
  { timeout: 120_000 },
  async () => {
    const root = temporaryCheckout();
    const first = new MeshRun(root);
    await first.isUp();
    const body = JSON.stringify({ entity_id: 'kept', data: { name: 'Bolt', quantity: 7 } });
    await (await client(first.url)).request('cmd.inventory.create', body);
    await first.shows('evt.inventory.created      kept  version 1');

    const second = new MeshRun(root);
    expect(await second.exited).toBe(1);
    expect(second.output).toContain('this checkout runs already');
    expect(second.output).toContain(first.url);

    const pids = agentPids(root);
    expect(pids.every(isRunning)).toBe(true);
    // As under npm, where the terminal and npm both send it.
    first.kill('SIGINT');
    first.kill('SIGINT');
    expect(await first.exited).toBe(0);
    expect(pids.some(isRunning)).toBe(false);
    await expect(connect({ servers: first.url, reconnect: false })).rejects.toThrow(/connection refused/i);
    expect(first.output).not.toContain('! while stopping');

    const third = new MeshRun(root, {}, '--verbose');
    await third.isUp();
    const reply = await (await client(third.url)).request('qry.inventory.get', JSON.stringify({ entity_id: 'kept' }));
    expect(reply.json()).toMatchObject({ entity_version: 1, state: { quantity: 7 } });
    // Every check, and what goes by.
    expect(third.output.match(/^ {2}✓ /gm)?.length).toBeGreaterThan(90);
    expect(third.output.match(/^ {4}→ cmd\./gm)?.length).toBeGreaterThan(90);
    third.kill('SIGTERM');
    expect(await third.exited).toBe(0);
  },
);

test('an agent that dies ends the mesh with code 1 and the end of its log', { timeout: 60_000 }, async () => {
  const root = temporaryCheckout();
  const run = new MeshRun(root);
  await run.isUp();
  const [inventory = 0, lockManager = 0] = agentPids(root);
  process.kill(inventory, 'SIGKILL');
  expect(await run.exited).toBe(1);
  expect(run.output).toContain('the agent inventory ended with SIGKILL. The end of ');
  expect(isRunning(lockManager)).toBe(false);
});

test('nothing outlives a mesh that is killed', { timeout: 60_000 }, async () => {
  const root = temporaryCheckout();
  const run = new MeshRun(root);
  await run.isUp();
  const pids = agentPids(root);
  const { url } = run;
  run.kill('SIGKILL');
  await run.exited;
  await untilGone(pids);
  // A server that is about to end may still take a connection, and reset it.
  const knock = async (): Promise<string> => {
    const knocking = connect({ servers: url, reconnect: false }).then((connection) => connection.close());
    return await knocking.then(() => 'connected', String);
  };
  await expect.poll(knock, { timeout: 20_000 }).toMatch(/connection refused/i);
});

test(
  'with NATS_URL no server is started, none is stopped, and nothing is left on it',
  { timeout: 60_000 },
  async () => {
    const server = await startNatsServer();
    onTestFinished(() => server.stop());
    const theirs = await client(server.url);
    await (await jetstreamManager(theirs)).streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
    await theirs.request('orders.1', 'theirs');
    const before = await assetsOn(server.url);

    const run = new MeshRun(temporaryCheckout(), { NATS_URL: server.url });
    await run.isUp();
    expect(run.url).toBe(server.url);
    expect(Object.keys(await assetsOn(server.url)).length).toBeGreaterThan(4);
    await stopped(run);
    expect(run.output).toMatch(/removed the streams that this start made:\n {2}.*ENTITIES_inventory/);
    expect(await assetsOn(server.url)).toEqual(before);
  },
);

test(
  'with NATS_URL a mesh that is there is left as it is, by the start that made it too if others use it',
  { timeout: 120_000 },
  async () => {
    const server = await startNatsServer();
    onTestFinished(() => server.stop());
    const env = { NATS_URL: server.url };
    const first = new MeshRun(temporaryCheckout(), env);
    await first.isUp();
    const before = await assetsOn(server.url);

    const second = new MeshRun(temporaryCheckout(), env);
    await second.isUp();
    expect(second.output).toContain('has a mesh already');
    expect(second.output).toContain('No story and no checks here');
    await stopped(first);
    expect(first.output).toMatch(/! left streams .*\n {2}.*ENTITIES_inventory/);
    expect(await assetsOn(server.url)).toEqual(before);
    await stopped(second);
    expect(await assetsOn(server.url)).toEqual(before);

    // Agents make what they miss, and that goes again.
    await (await jetstreamManager(await client(server.url))).consumers.delete('COMMANDS_inventory', 'executor');
    const without = await assetsOn(server.url);
    const third = new MeshRun(temporaryCheckout(), env);
    await third.isUp();
    expect(await assetsOn(server.url)).toEqual(before);
    third.hangUp();
    expect(await third.exited).toBe(0);
    expect(await assetsOn(server.url)).toEqual(without);
  },
);

test('a NATS_URL where nobody listens is an error that says what to do', async () => {
  const run = new MeshRun(temporaryCheckout(), { NATS_URL: 'nats://127.0.0.1:1' });
  expect(await run.exited).toBe(1);
  expect(run.output).toContain('no connection to nats://127.0.0.1:1');
  expect(run.output).toContain('NATS_URL');
});

test(
  'a port that is taken is passed over, and the commands to try name the other one',
  { timeout: 60_000 },
  async () => {
    const squatter = createServer();
    // Whoever has the port already serves the test just as well.
    await new Promise<void>((resolve) =>
      squatter.once('error', () => resolve()).listen(4222, '127.0.0.1', () => resolve()),
    );
    onTestFinished(() => void squatter.close());
    const run = new MeshRun(temporaryCheckout());
    await run.isUp();
    expect(run.output).toContain('port 4222 is taken');
    expect(run.url).not.toBe('nats://127.0.0.1:4222');
    expect(run.output).toContain(`export NATS_URL=${run.url}\n`);
    run.kill('SIGINT');
    expect(await run.exited).toBe(0);
  },
);
