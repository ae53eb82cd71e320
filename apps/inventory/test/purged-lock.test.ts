/**
 * Hunts a fencing token that goes back when an operator purges the log of a lock, or loses the whole stream: the old holder's
 * commands would pass, and those of the new one be refused.
 */
import { startNatsServer } from '@meshforge/nats-server';
import { entityStream, inventoryContract, lockContract, type LockState } from '@meshforge/protocol';
import { connectMesh, startAgent, type Mesh } from '@meshforge/runtime';
import { expect, test, vi } from 'vitest';
import { startAgentProcess, type AgentProcess } from '../../../packages/runtime/test/support/agent-process.ts';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { inventory } from '../src/index.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const STREAM = entityStream(lockContract.name);

interface Guarded {
  mesh: Mesh;
  nats: Awaited<ReturnType<typeof openConnection>>;
  lockManager: AgentProcess;
  /** The lease of a lock that is free. */
  acquire: (owner: string) => Promise<{ version: number; state: LockState }>;
  release: (owner: string) => Promise<void>;
  /** Writes under a lease of the lock; the outcome in one word. */
  write: (fencingToken: number) => Promise<string>;
}

async function startGuarded(): Promise<Guarded> {
  const { url } = endWithTest(await startNatsServer());
  const main = new URL('../../lock-manager/src/main.ts', import.meta.url);
  const lockManager = endWithTest(await startAgentProcess({ main, name: lockContract.name, natsUrl: url }));
  endWithTest(await startAgent(inventory, { nats: { servers: url } }));
  const mesh = endWithTest(await connectMesh({ servers: url }));
  const nats = endWithTest(await openConnection(url));
  await mesh.request(inventoryContract, 'create', { entityId: 'bolts', data: { name: 'bolt', quantity: 100 } });
  return {
    mesh,
    nats,
    lockManager,
    acquire: async (owner) => {
      const data = { owner_id: owner, ttl_ms: 60_000 };
      const outcome = await mesh.request(lockContract, 'acquire', { entityId: 'shelf', data });
      expect(outcome).toMatchObject({ kind: 'committed', payload: { state: { owner_id: owner } } });
      const { entity_version: version, state } = outcome.payload as { entity_version: number; state: LockState };
      return { version, state };
    },
    release: async (owner) => {
      const outcome = await mesh.request(lockContract, 'release', { entityId: 'shelf', data: { owner_id: owner } });
      expect(outcome.kind).toBe('committed');
    },
    write: async (fencingToken) => {
      const lease = { resource: 'shelf', fencingToken };
      const outcome = await mesh.request(inventoryContract, 'adjust', { entityId: 'bolts', lease, data: { delta: 1 } });
      return outcome.kind === 'rejected' ? outcome.payload.code : outcome.kind;
    },
  };
}

async function purge(nats: Guarded['nats']): Promise<void> {
  const answer = await nats.request(`$JS.API.STREAM.PURGE.${STREAM}`, JSON.stringify({ filter: 'ent.lock.shelf.>' }));
  expect(answer.json()).toMatchObject({ success: true });
}

test('the token grows over a purge of the log, and the former holder is refused once the new one has written', async () => {
  const { acquire, nats, release, write } = await startGuarded();
  let token = 0;
  for (let i = 0; i < 5; i++) {
    if (i > 0) await release('ann');
    token = (await acquire('ann')).state.fencing_token;
  }
  expect(await write(token)).toBe('committed');
  await purge(nats);
  // To its log, nobody ever held the lock.
  const bob = await acquire('bob');
  expect(bob.version).toBe(1);
  expect(bob.state.fencing_token).toBeGreaterThan(token);
  expect(await write(bob.state.fencing_token)).toBe('committed');
  expect(await write(token)).toBe('stale_token');
  await release('bob');
  expect((await acquire('cy')).state.fencing_token).toBeGreaterThan(bob.state.fencing_token);
});

test('the token grows when the whole stream is lost while no lock manager runs', async () => {
  const { acquire, lockManager, nats, write } = await startGuarded();
  const ann = await acquire('ann');
  expect(await write(ann.state.fencing_token)).toBe('committed');
  await lockManager.kill();
  expect((await nats.request(`$JS.API.STREAM.DELETE.${STREAM}`)).json()).toMatchObject({ success: true });
  await lockManager.restart();
  const bob = await acquire('bob');
  expect(bob.state.fencing_token).toBeGreaterThan(ann.state.fencing_token);
  expect(await write(bob.state.fencing_token)).toBe('committed');
  expect(await write(ann.state.fencing_token)).toBe('stale_token');
});

test('a client that waits for a lock whose log is purged gets it', async () => {
  const { acquire, mesh, nats } = await startGuarded();
  await acquire('ann');
  const waiting = mesh.acquire('shelf', { waitMs: 30_000, ownerId: 'bob' });
  await until('bob waits', async () => {
    const answer = await nats.request('qry.lock.get', JSON.stringify({ entity_id: 'shelf' }));
    return answer.json<{ waiters?: number }>().waiters === 1;
  });
  await purge(nats);
  await using bob = await waiting;
  const state = (await mesh.get(lockContract, 'shelf'))?.state;
  expect(state).toMatchObject({ owner_id: 'bob', fencing_token: bob.fencingToken });
});
