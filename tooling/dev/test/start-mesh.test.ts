// Hunts for what outlives a stop, and for starts that do not find what an earlier one left. Needs the built packages.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer } from '@meshforge/nats-server';
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

test(
  'a mesh checks itself, shows events, stops at once on Ctrl-C, and the next start finds its data',
  { timeout: 120_000 },
  async () => {
    const root = temporaryCheckout();
    const first = new MeshRun(root);
    await first.isUp();
    expect(first.output).toMatch(/→ cmd\.inventory\.create/);
    expect(first.output).toMatch(/\d+ passed, \d+ failed/);
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

    const third = new MeshRun(root);
    await third.isUp();
    const reply = await (await client(third.url)).request('qry.inventory.get', JSON.stringify({ entity_id: 'kept' }));
    expect(reply.json()).toMatchObject({ entity_version: 1, state: { quantity: 7 } });
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

test('with NATS_URL no server is started, and none is stopped', { timeout: 60_000 }, async () => {
  const server = await startNatsServer();
  onTestFinished(() => server.stop());
  const root = temporaryCheckout();
  const run = new MeshRun(root, { NATS_URL: server.url });
  await run.isUp();
  expect(run.url).toBe(server.url);
  run.kill('SIGINT');
  expect(await run.exited).toBe(0);
  expect(server.isAlive).toBe(true);
});

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
    expect(run.output).toContain(`NATS_URL=${run.url} node tooling/dev/ask.mjs cmd.inventory.create`);
    run.kill('SIGINT');
    expect(await run.exited).toBe(0);
  },
);
