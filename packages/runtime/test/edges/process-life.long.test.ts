// Hunts for processes that start where they cannot work, do not say why they stop, do not stop, or take commands with
// them when they do.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNatsServer } from '@meshforge/nats-server';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { connectMesh, startAgent } from '../../src/index.ts';
import { addStream } from '../support/add-stream.ts';
import { AgentProcess, startAgentProcess, type AgentExit } from '../support/agent-process.ts';
import { deleteStream } from '../support/backup.ts';
import { agentOf, first, second } from '../support/chain.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { expectEachOnce, expectGapless, readCommits } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { openConnection, sendCommand, type RawReply } from '../support/wire.ts';
import { healthOf, readinessOf } from './support/health.ts';
import { AGENTS, INVENTORY, type AgentSpec } from './support/mesh.ts';
import { startOfVersion, startWithoutJetStream } from './support/odd-servers.ts';

// Processes start and end in nearly every test, on machines that may be slow and shared.
vi.setConfig({ testTimeout: 120_000 });

const NOWHERE = 'nats://127.0.0.1:1';

function newProcess(
  { name, main }: Pick<AgentSpec, 'name' | 'main'>,
  natsUrl: string,
  env: Readonly<Record<string, string>> = {},
): AgentProcess {
  return endWithTest(new AgentProcess({ name, main, natsUrl, env }));
}

/** Starts a process that cannot work; answers what it logged last, once it has ended. */
async function fatalOf(agent: AgentProcess): Promise<{ exit: AgentExit; lines: { level: number; msg: string }[] }> {
  await expect(agent.restart()).rejects.toThrow(/ended before it was ready/);
  const exit = await agent.exited;
  const fatal = (): boolean => agent.log.includes('"level":60');
  await until(() => `the fault is logged; it logged ${agent.log}`, fatal);
  const lines = agent.log.split('\n').map((line) => JSON.parse(line) as { level: number; msg: string });
  return { exit, lines: lines.filter(({ level }) => level >= 40) };
}

describe('an environment that is wrong', () => {
  test.each([
    [{ HEALTH_PORT: 'abc' }, /HEALTH_PORT/],
    [{ HEALTH_PORT: '70000' }, /HEALTH_PORT.*65535/],
    [{ STREAM_REPLICAS: '2' }, /STREAM_REPLICAS: expected 1, 3 or 5/],
    [{ LOG_LEVEL: 'loud' }, /LOG_LEVEL.*info/],
    [{ HEALTH_PORT: '-1', STREAM_REPLICAS: 'x' }, /HEALTH_PORT.*STREAM_REPLICAS/],
    [{ NATS_URL: 'nats://127.0.0.1:99999' }, /NATS.*99999.*Invalid URL/],
    [{ NATS_URL: ',' }, /servers names none/],
    [{ NATS_TLS_CA: 'no-such-file.pem' }, /no-such-file\.pem cannot be read/],
    [{ NATS_CREDS: 'no-such-file.creds' }, /no-such-file\.creds cannot be read/],
    [{ NATS_CREDS: 'a', NATS_NKEY_SEED_FILE: 'b' }, /choose one/],
  ])('%j: the process says so in one line and exits with 1', async (env, said) => {
    const { exit, lines } = await fatalOf(newProcess(INVENTORY, NOWHERE, env));
    expect(exit).toEqual({ code: 1, signal: null });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.msg).toMatch(said);
  });

  test('a seed file without a seed: the process names the file and exits with 1', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'meshforge-edges-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const file = join(directory, 'seed.nk');
    await writeFile(file, 'no seed');
    const { exit, lines } = await fatalOf(newProcess(INVENTORY, NOWHERE, { NATS_NKEY_SEED_FILE: file }));
    expect(exit).toEqual({ code: 1, signal: null });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.msg).toContain(file);
  });

  test('a health port that is taken: the process names the variable and exits with 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as AddressInfo;
    const { exit, lines } = await fatalOf(newProcess(INVENTORY, NOWHERE, { HEALTH_PORT: String(port) }));
    expect(exit).toEqual({ code: 1, signal: null });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.msg).toMatch(new RegExp(`HEALTH_PORT ${port}.*EADDRINUSE`));
  });
});

describe('a server that an agent cannot stand on', () => {
  test('too old: the process names both versions and exits with 1', async () => {
    const server = endWithTest(await startOfVersion('2.12.4'));
    const { exit, lines } = await fatalOf(newProcess(INVENTORY, server.url));
    expect(exit).toEqual({ code: 1, signal: null });
    expect(lines.at(-1)?.msg).toMatch(/2\.12\.4 is too old.*2\.14\.0/);
  });

  test('without JetStream: the process says how to turn it on and exits with 1', async () => {
    const server = endWithTest(await startWithoutJetStream());
    const { exit, lines } = await fatalOf(newProcess(INVENTORY, server.url));
    expect(exit).toEqual({ code: 1, signal: null });
    expect(lines.at(-1)?.msg).toMatch(/JetStream does not answer.*-js/);
  });

  test('without JetStream for its account: the process says so and exits with 1', async () => {
    const configText = 'accounts { A { users: [{ user: a, password: a }] } }\nno_auth_user: a';
    const server = endWithTest(await startNatsServer({ configText }));
    const { exit, lines } = await fatalOf(newProcess(INVENTORY, server.url));
    expect(exit).toEqual({ code: 1, signal: null });
    expect(lines.at(-1)?.msg).toMatch(/JetStream.*account/);
  });
});

describe('an agent whose server is not there yet', () => {
  test('says what it waits for, is alive and not ready, and serves when the server appears', async () => {
    const server = endWithTest(await startNatsServer());
    await server.kill('SIGKILL');
    const agent = newProcess(INVENTORY, server.url);
    const starting = agent.restart();
    await until('it says that it waits', () => agent.log.includes('cannot connect to NATS yet'));
    expect(agent.log).toContain('refused');
    expect(await healthOf(agent)).toEqual({ livez: 200, readyz: 503 });

    await server.restart();
    await starting;
    expect(await healthOf(agent)).toEqual({ livez: 200, readyz: 200 });
    const client = endWithTest(await openConnection(server.url));
    const reply = await sendCommand(client, 'inventory', 'create', { entityId: 'a', data: { name: 'bolt' } });
    expect(reply.event).toBe('evt.inventory.created');
    expect(agent.log.split('\n').filter((line) => line.includes('cannot connect'))).toHaveLength(1);
  });

  test('says so when the server does not let it in, and goes on trying', async () => {
    const configText = 'authorization { user: somebody, password: else }';
    const server = endWithTest(await startNatsServer({ configText }));
    const agent = newProcess(INVENTORY, server.url);
    const starting = agent.restart();
    starting.catch(() => {});
    await until('it says why it waits', () => agent.log.includes('Authorization Violation'));
    expect(await healthOf(agent)).toEqual({ livez: 200, readyz: 503 });
    expect(await agent.terminate()).toEqual({ code: 0, signal: null });
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('ends on %s with 0', async (signal) => {
    const agent = newProcess(INVENTORY, NOWHERE);
    const starting = agent.restart();
    starting.catch(() => {});
    await until('it says that it waits', () => agent.log.includes('cannot connect to NATS yet'));
    process.kill(agent.pid as number, signal);
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    await expect(starting).rejects.toThrow(/ended before/);
  });
});

describe('an agent with a reaction', () => {
  const SECOND = { name: 'second', main: new URL('../support/following-process.ts', import.meta.url) };

  test('serves before the agent that it follows has ever started, and follows it from then on', async () => {
    const server = endWithTest(await startNatsServer());
    const agent = newProcess(SECOND, server.url);
    await agent.restart();
    await until('it says what it waits for', () => agent.log.includes('reaction cannot run yet'));
    expect(agent.log).toContain('stream not found');
    const mesh = endWithTest(await connectMesh({ servers: server.url }));
    expect(await mesh.request(second, 'add', { entityId: 'a', data: { by: 1 } })).toMatchObject({ kind: 'committed' });

    endWithTest(await startAgent(agentOf(first), { nats: { servers: server.url } }));
    await mesh.request(first, 'add', { entityId: 'a', data: { by: 2 } });
    await until('the reaction has run', async () => (await mesh.get(second, 'a'))?.state.n === 3);
    expect(await agent.terminate()).toEqual({ code: 0, signal: null });
  });

  test('ends on SIGTERM with 0 while its reaction cannot run', async () => {
    const server = endWithTest(await startNatsServer());
    const agent = newProcess(SECOND, server.url);
    await agent.restart();
    await until('it says what it waits for', () => agent.log.includes('reaction cannot run yet'));
    expect(await agent.terminate()).toEqual({ code: 0, signal: null });
  });

  test('that can never run says so and exits with 1', async () => {
    const server = endWithTest(await startNatsServer());
    const agent = newProcess(SECOND, server.url, { REACTION: 'No name' });
    agent.restart().catch(() => {});
    await until('it has started', () => agent.pid !== undefined);
    expect(await agent.exited).toEqual({ code: 1, signal: null });
    expect(agent.log).toMatch(/No name.*expected \^\[a-z\]/);
  });
});

describe.each(AGENTS)('$name', (spec) => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'I2: on %s under load it answers every command that it took in, and exits with 0',
    async (signal) => {
      const server = endWithTest(await startNatsServer());
      const agent = endWithTest(await startAgentProcess({ name: spec.name, main: spec.main, natsUrl: server.url }));
      const client = endWithTest(await openConnection(server.url));
      const replies: RawReply[] = [];
      const failures: unknown[] = [];
      let sent = 0;
      const { action, data, event } = spec.good;
      const sendAll = async (worker: number): Promise<void> => {
        while (failures.length === 0) {
          const entityId = `worker-${worker}-${++sent}`;
          await sendCommand(client, spec.name, action, { entityId, data }).then(
            (reply) => replies.push(reply),
            (error: unknown) => failures.push(error),
          );
        }
      };
      const workers = Array.from({ length: 64 }, (_, worker) => sendAll(worker));
      await until('it is under load', () => replies.length > 500);
      process.kill(agent.pid as number, signal);
      expect(await agent.exited).toEqual({ code: 0, signal: null });
      await Promise.all(workers);

      expect(failures.filter((error) => !String(error).includes('no responders'))).toEqual([]);
      expect(replies.filter((reply) => reply.event !== `evt.${spec.token}.${event}`)).toEqual([]);
      const commits = await readCommits(client, spec.name);
      expect(commits.map(({ commandId }) => commandId).sort()).toEqual(
        replies.map(({ commandId }) => commandId).sort(),
      );
      expectEachOnce(commits);
      expectGapless(commits);
      expect(agent.log).toMatch(/agent has stopped/);
    },
  );
});

test('a stream that was deleted: the process is not ready and says which, logs it once, and serves when it is back', async () => {
  const server = endWithTest(await startNatsServer());
  const { main, name } = INVENTORY;
  const agent = endWithTest(await startAgentProcess({ name, main, natsUrl: server.url }));
  const client = endWithTest(await openConnection(server.url));
  const config = await deleteStream(client, 'COMMANDS_inventory');
  await until('it is not ready', async () => (await healthOf(agent)).readyz === 503);
  expect((await healthOf(agent)).livez).toBe(200);
  expect(await readinessOf(agent)).toMatch(
    /^not ready\n(?:.*\n)*stream COMMANDS_inventory is gone: it was deleted\. .*\n$/,
  );
  expect(agent.log.split('\n').filter((line) => line.includes('stream COMMANDS_inventory is gone'))).toHaveLength(1);
  await addStream(client, config);
  await until('it is ready', async () => (await healthOf(agent)).readyz === 200);
  expect(await readinessOf(agent)).toBe('ok\n');
});

describe('when NATS is gone, SIGTERM', () => {
  async function startAndLoseNats(spec: AgentSpec, commandsInFlight: number): Promise<AgentProcess> {
    const { name, main } = spec;
    const { action, data } = spec.good;
    const server = endWithTest(await startNatsServer());
    const agent = endWithTest(await startAgentProcess({ name, main, natsUrl: server.url }));
    const client = endWithTest(await openConnection(server.url));
    await sendCommand(client, name, action, { entityId: 'a', data });
    for (let i = 0; i < commandsInFlight; i++) {
      sendCommand(client, name, action, { entityId: `burst-${i}`, data }).catch(() => {});
    }
    await client.flush();
    await server.kill('SIGKILL');
    await until('it knows that NATS is gone', async () => (await healthOf(agent)).readyz === 503);
    expect((await healthOf(agent)).livez).toBe(200);
    return agent;
  }

  test.each(AGENTS)('ends an idle $name at once, with 0', async (spec) => {
    const agent = await startAndLoseNats(spec, 0);
    const began = performance.now();
    expect(await agent.terminate()).toEqual({ code: 0, signal: null });
    // Far below the time that it gives commands to come to their end.
    expect(performance.now() - began).toBeLessThan(8_000);
  });

  test('ends agents with commands in flight after the time that they give them, with 0', async () => {
    const agents = await Promise.all(AGENTS.map((spec) => startAndLoseNats(spec, 2_000)));
    for (const exit of await Promise.all(agents.map((agent) => agent.terminate()))) {
      expect(exit).toEqual({ code: 0, signal: null });
    }
    for (const agent of agents) expect(agent.log).toMatch(/agent has stopped/);
  });
});
