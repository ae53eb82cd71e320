// Hunts: the write of a process that held a lock, was paused for longer than its lease, and does not know it. The lock is
// another's by then, and so is the stock.
import { createInterface } from 'node:readline';
import { startNatsCluster, startNatsServer } from '@meshforge/nats-server';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import { connectMesh, type CommandOutcome, type LeaseProof, type Mesh } from '@meshforge/runtime';
import { expect, onTestFinished, test } from 'vitest';
import { startAgentProcess } from '../../../packages/runtime/test/support/agent-process.ts';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { spawnFromSource } from '../../../packages/runtime/test/support/spawn-from-source.ts';
import { readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';

const TTL_MS = 1_000;
const RESOURCE = 'shelf 7';
const ITEM = 'bolts';

type Adjusted = CommandOutcome<typeof inventoryContract, 'adjust'>;

/** A process that got the lock, to be told to write, and to be paused. */
interface Holder {
  lease: LeaseProof;
  write(delta: number): void;
  nextOutcome(): Promise<Adjusted>;
  pause(): void;
  wake(): void;
}

async function startHolder(natsUrl: string): Promise<Holder> {
  const main = new URL('./support/holder.ts', import.meta.url);
  const child = spawnFromSource(main, { NATS_URL: natsUrl, RESOURCE, ITEM, TTL_MS: String(TTL_MS) });
  onTestFinished(() => void child.kill('SIGKILL'));
  let log = '';
  child.stderr.on('data', (text: Buffer) => (log += text.toString()));
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  const next = async <T>(): Promise<T> => {
    return JSON.parse(
      await until(
        () => `the holder says something; it logged: ${log}`,
        () => lines.shift(),
      ),
    ) as T;
  };
  return {
    lease: await next<LeaseProof>(),
    write: (delta) => void child.stdin.write(`${delta}\n`),
    nextOutcome: () => next<Adjusted>(),
    pause: () => void child.kill('SIGSTOP'),
    wake: () => void child.kill('SIGCONT'),
  };
}

/** Takes the lock for another owner as soon as it comes free. */
async function takeOver(mesh: Mesh): Promise<LeaseProof> {
  return until('the lock comes free', async () => {
    const data = { owner_id: 'other', ttl_ms: 60_000 };
    const outcome = await mesh.request(lockContract, 'acquire', { entityId: RESOURCE, data });
    if (outcome.kind !== 'committed' || outcome.payload.state === null) return undefined;
    return { resource: RESOURCE, fencingToken: outcome.payload.state.fencing_token };
  });
}

test.each([
  { servers: 'one server', replicas: 1 as const },
  { servers: 'a cluster of three', replicas: 3 as const },
])(
  'I7: the stock on $servers is what the lock’s second holder wrote, whatever the first does when it wakes',
  async ({ replicas }) => {
    const { url: natsUrl } = endWithTest(await (replicas === 1 ? startNatsServer() : startNatsCluster()));
    const app = (folder: string): URL => new URL(`../../${folder}/src/main.ts`, import.meta.url);
    const agents = await Promise.all(
      [
        { main: app('inventory'), name: 'inventory' },
        { main: app('lock-manager'), name: 'sys_lock_manager' },
      ].map((agent) => startAgentProcess({ ...agent, natsUrl, streamReplicas: replicas })),
    );
    for (const agent of agents) endWithTest(agent);
    const mesh = endWithTest(await connectMesh({ servers: natsUrl.split(',') }));
    await mesh.request(inventoryContract, 'create', { entityId: ITEM, data: { name: 'bolt', quantity: 100 } });

    const holder = await startHolder(natsUrl);
    holder.write(-1);
    expect(await holder.nextOutcome()).toMatchObject({ kind: 'committed', payload: { state: { quantity: 99 } } });
    holder.pause();
    // What it is about to do when the pause comes.
    holder.write(-50);

    const lease = await takeOver(mesh);
    expect(lease.fencingToken).toBeGreaterThan(holder.lease.fencingToken);
    const adjust = { entityId: ITEM, lease, data: { delta: -9 } };
    const second = await mesh.request(inventoryContract, 'adjust', adjust);
    expect(second).toMatchObject({ kind: 'committed', payload: { state: { quantity: 90 } } });

    holder.wake();
    const refused = await holder.nextOutcome();
    expect(refused).toMatchObject({
      kind: 'rejected',
      event: 'evt.inventory.rejected',
      payload: {
        entity_id: ITEM,
        action: 'adjust',
        code: 'stale_token',
        reason: expect.stringContaining(
          `"${RESOURCE}" is over: fencing token ${holder.lease.fencingToken} was sent, and the entity has seen ` +
            `${lease.fencingToken}`,
        ),
      },
    });

    expect(await mesh.get(inventoryContract, ITEM, { minVersion: 3 })).toMatchObject({
      entity_version: 3,
      state: { quantity: 90 },
    });
    const connection = endWithTest(await openConnection(natsUrl));
    const commits = await readCommits(connection, 'inventory');
    expect(commits.map(({ data }) => data?.['delta'])).toEqual([undefined, -1, -9]);
  },
  120_000,
);
