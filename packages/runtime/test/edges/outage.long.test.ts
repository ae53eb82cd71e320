// Hunts for what an outage of NATS breaks: commands carried out twice or lost, errors that do not say what became of a
// command, clients and agents that do not come back by themselves. The stream is the witness.
import { setTimeout as sleep } from 'node:timers/promises';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { connectMesh, MeshError, type Mesh } from '@meshforge/runtime';
import { expect, test } from 'vitest';
import { startAgentProcess, type AgentProcess } from '../support/agent-process.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { byEntity, expectEachOnce, expectGapless, readCommits } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { openConnection, pingAgents } from '../support/wire.ts';
import { healthOf } from './support/health.ts';
import { AGENTS } from './support/mesh.ts';

const OUTAGE_MS = 10_000;
/** Less than the outage: these clients meet it. */
const IMPATIENT_MS = 2_500;
/** More than any outage: these sit it out. */
const PATIENT_MS = 120_000;

/** A command and what its sender was told. */
interface Told {
  commandId: string;
  kind: string;
  version?: number | undefined;
}

/** Senders of commands that go on until they are told to stop. */
class Traffic {
  readonly told: Told[] = [];
  readonly errors: MeshError[] = [];
  /** Locks that were taken and released, by resource. */
  readonly pairs = new Map<string, number>();
  readonly #stopped = new AbortController();
  readonly #senders: Promise<void>[] = [];
  #sent = 0;

  get committed(): number {
    return this.told.filter(({ kind }) => kind === 'committed' || kind === 'replayed').length;
  }

  /** Adjusts an item again and again, guarded by the version that it has read or not. */
  adjust(mesh: Mesh, entityId: string, guarded: boolean, timeoutMs: number): void {
    this.#go(async () => {
      const commandId = `adjust-${++this.#sent}`;
      try {
        const expectedVersion = guarded ? (await mesh.get(inventoryContract, entityId))?.entity_version : undefined;
        const guard = expectedVersion === undefined ? {} : { expectedVersion };
        const options = { entityId, commandId, data: { delta: 1 }, timeoutMs, ...guard };
        const { kind, payload } = await mesh.request(inventoryContract, 'adjust', options);
        this.told.push({ commandId, kind, version: 'entity_version' in payload ? payload.entity_version : undefined });
      } catch (error) {
        if (!(error instanceof MeshError)) throw error;
        this.errors.push(error);
        this.told.push({ commandId, kind: error.code });
      }
    });
  }

  /** Takes and releases a lock of its own again and again. */
  lock(mesh: Mesh, entityId: string): void {
    this.pairs.set(entityId, 0);
    this.#go(async () => {
      const data = { owner_id: entityId };
      const pairs = this.pairs.get(entityId) ?? 0;
      for (const [i, action] of (['acquire', 'release'] as const).entries()) {
        const { payload } = await mesh.request(lockContract, action, { entityId, data, timeoutMs: PATIENT_MS });
        const version = 'entity_version' in payload ? payload.entity_version : undefined;
        if (version !== pairs * 2 + i + 1) throw new Error(`${action} no. ${pairs}: ${JSON.stringify(payload)}`);
      }
      this.pairs.set(entityId, pairs + 1);
    });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#senders);
  }

  #go(once: () => Promise<void>): void {
    const forever = async (): Promise<void> => {
      while (!this.#stopped.signal.aborted) {
        await once();
        await sleep(5);
      }
    };
    this.#senders.push(forever());
  }
}

/** What happens to the server, and how it ends. */
const OUTAGES: Readonly<
  Record<string, { begin: (server: NatsServer) => Promise<void>; end: (server: NatsServer) => Promise<void> }>
> = {
  'killed and restarted': { begin: (server) => server.kill('SIGKILL'), end: (server) => server.restart() },
  'frozen and thawed': { begin: (server) => server.kill('SIGSTOP'), end: (server) => server.kill('SIGCONT') },
};

test.each(Object.keys(OUTAGES))(
  'I1 I2 I5: a server that is %s in mid-load loses no command, doubles none, and all come back by themselves',
  async (name) => {
    const { begin, end } = OUTAGES[name] as (typeof OUTAGES)[string];
    const server = endWithTest(await startNatsServer());
    const agents = await Promise.all(
      AGENTS.map((spec) => startAgentProcess({ name: spec.name, main: spec.main, natsUrl: server.url })),
    );
    for (const agent of agents) endWithTest(agent);
    const meshes = await Promise.all([1, 2, 3].map(() => connectMesh({ servers: server.url, tryTimeoutMs: 1_000 })));
    for (const mesh of meshes) endWithTest(mesh);
    const [mesh] = meshes as [Mesh];
    const items = ['a', 'b', 'c', 'd'];
    for (const entityId of items) {
      await mesh.request(inventoryContract, 'create', { entityId, data: { name: 'bolt' }, timeoutMs: PATIENT_MS });
    }

    const traffic = new Traffic();
    for (const [i, own] of meshes.entries()) {
      for (const [j, item] of items.entries())
        traffic.adjust(own, item, j % 2 === 0, i === 0 ? PATIENT_MS : IMPATIENT_MS);
      traffic.lock(own, `lock-${i}`);
    }
    await until('commands flow', () => traffic.committed > 200);

    await begin(server);
    const over = sleep(OUTAGE_MS);
    if (name === 'killed and restarted')
      await until('the agents say that they are not ready', () => allAre(agents, 503));
    await over;
    for (const agent of agents) expect((await healthOf(agent)).livez).toBe(200);
    if (name === 'killed and restarted') expect(await allAre(agents, 503)).toBe(true);
    const before = traffic.committed;
    await end(server);

    await until('the agents say that they are ready', () => allAre(agents, 200));
    await until('commands flow again', () => traffic.committed > before + 200);
    await traffic.stop();

    const witness = endWithTest(await openConnection(server.url));
    for (const spec of AGENTS) expect(await pingAgents(witness, spec.name)).toHaveLength(1);
    const commits = await readCommits(witness, 'inventory');
    expectGapless(commits);
    expectEachOnce(commits);
    const versions = new Map(commits.map(({ commandId, version }) => [commandId, version]));
    for (const { commandId, kind, version } of traffic.told) {
      if (kind === 'committed' || kind === 'replayed') {
        expect(versions.get(commandId), `version of ${commandId}`).toBe(version);
      } else if (kind !== 'timeout') {
        // Conflicts and "nothing changed".
        expect(versions.has(commandId), `${commandId}, answered ${kind}, is in the stream`).toBe(false);
      }
    }
    // Nobody else sent anything: what is in the stream beyond that was not told to its sender in time.
    const sent = new Set(traffic.told.map(({ commandId }) => commandId));
    expect(commits.filter(({ commandId, event }) => event === 'adjusted' && !sent.has(commandId))).toEqual([]);

    expect(traffic.errors.length).toBeGreaterThan(0);
    for (const { code, message } of traffic.errors) {
      expect(['timeout', 'unavailable']).toContain(code);
      expect(message).toMatch(/(?:no definite answer|could not be carried out) within \d+ ms/);
    }

    const released = byEntity(
      (await readCommits(witness, lockContract.name)).filter(({ event }) => event === 'released'),
    );
    for (const [resource, pairs] of traffic.pairs) {
      expect(pairs).toBeGreaterThan(0);
      expect(released.get(resource)?.map(({ version }) => version)).toEqual(
        Array.from({ length: pairs }, (_, i) => i * 2 + 2),
      );
    }
    for (const agent of agents) expect(await agent.terminate()).toEqual({ code: 0, signal: null });
  },
  180_000,
);

async function allAre(agents: readonly AgentProcess[], readyz: number): Promise<boolean> {
  const statuses = await Promise.all(agents.map(healthOf));
  return statuses.every((status) => status.readyz === readyz);
}

test.each(['SIGKILL', 'SIGSTOP'] as const)(
  'a client whose server got %s closes within seconds, and says so to whoever still waits',
  async (signal) => {
    const server = endWithTest(await startNatsServer());
    const mesh = await connectMesh({ servers: server.url, timeoutMs: 600_000 });
    await server.kill(signal);
    const waiting = mesh.request(inventoryContract, 'create', { entityId: 'a', data: { name: 'bolt' } });
    waiting.catch(() => {});
    await sleep(500);
    await mesh.close();
    await expect(waiting).rejects.toMatchObject({ code: 'timeout', message: expect.stringContaining('was closed') });
    const late = mesh.request(inventoryContract, 'create', { entityId: 'a', data: { name: 'bolt' } });
    await expect(late).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('was closed') });
  },
);

test('a command sent while nobody serves it fails with "unavailable": nothing changed', async () => {
  const server = endWithTest(await startNatsServer());
  const mesh = endWithTest(await connectMesh({ servers: server.url, timeoutMs: 1_000 }));
  const sending = mesh.request(inventoryContract, 'create', { entityId: 'a', data: { name: 'bolt' } });
  await expect(sending).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('nobody serves it'),
  });
});
