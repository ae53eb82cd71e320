/**
 * Hunts a lease that outlives, or dies with, a process: the lock manager and the server are killed (SIGKILL) between a
 * grant and its end. The witness is the stream.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { AgentProcess } from '../../../packages/runtime/test/support/agent-process.ts';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { expectEachOnce, readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection, pingAgents, type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { startLockManagerProcess, startMesh } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  endOf,
  followEvents,
  isLease,
  lease,
  LOCKS,
  readLock,
  refresh,
  release,
  storedExpiry,
  success,
  type Connection,
  type LeasePayload,
} from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let server: NatsServer;
let lockManager: AgentProcess;
let nats: Connection;

beforeAll(async () => {
  server = await startNatsServer();
  lockManager = await startLockManagerProcess(server.url);
  nats = await openConnection(server.url);
});

afterAll(async () => {
  await nats.close();
  await lockManager.stop();
  await server.stop();
});

/** What is sent while the connection is down is lost, and waits for its answer in vain. */
async function restartServer(): Promise<void> {
  await server.restart();
  await until('the server answers', () => nats.request('$JS.API.INFO', '', { timeout: 500 }).catch(() => undefined));
}

async function lockManagerServes(): Promise<void> {
  await until('the lock manager serves', async () => (await pingAgents(nats, LOCKS)).length > 0);
}

/** The server is gone at once and comes back; resolves when the lock manager serves again. */
async function killServer(): Promise<void> {
  await server.kill('SIGKILL');
  await restartServer();
  await lockManagerServes();
}

/** It ends when it was to end, with the payload of the lease that ended. */
async function expectEndOf(granted: LeasePayload): Promise<void> {
  const { payload, time } = await storedExpiry(nats, granted.entity_id, granted.entity_version);
  expect(payload).toEqual(granted);
  expect(time).toBeGreaterThanOrEqual(endOf(granted));
}

async function expectFreeAfter(resource: string, ended: LeasePayload): Promise<void> {
  expect(await readLock(nats, resource)).toEqual({ ...ended, state: { ...ended.state, owner_id: null } });
  expect(denial(await refresh(nats, resource, 'ann')).code).toBe('not_held');
  const next = lease(await acquire(nats, resource, 'bob'));
  expect(next.entity_version).toBe(ended.entity_version + 1);
  expect(next.state.fencing_token).toBeGreaterThan(ended.state.fencing_token);
}

test('a lease expires while no lock manager is alive', async () => {
  const granted = lease(await acquire(nats, 'orphan', 'ann', { ttl: 1_000 }));
  await lockManager.kill();
  await expectEndOf(granted);
  expect(await pingAgents(nats, LOCKS)).toEqual([]);
  await lockManager.restart();
  await expectFreeAfter('orphan', granted);
});

test('a lease expires though the server was killed and restarted since its grant', async () => {
  const granted = lease(await acquire(nats, 'restarted', 'ann', { ttl: 4_000 }));
  const refreshed = lease(await refresh(nats, 'restarted', 'ann', { ttl: 5_000 }));
  await killServer();
  expect(refreshed.state.fencing_token).toBe(granted.state.fencing_token);
  await expectEndOf(refreshed);
  await expectFreeAfter('restarted', refreshed);
});

test('a lease whose end falls into the time when the server is down expires when it is back', async () => {
  const granted = lease(await acquire(nats, 'overslept', 'ann', { ttl: 500 }));
  await server.kill('SIGKILL');
  await sleep(Math.max(0, endOf(granted) + 200 - Date.now()));
  await restartServer();
  await expectEndOf(granted);
  await lockManagerServes();
  await expectFreeAfter('overslept', granted);
});

test('a lease that is held outlives the server and the lock manager', async () => {
  const granted = lease(await acquire(nats, 'survivor', 'ann', { ttl: 600_000 }));
  await lockManager.kill();
  await server.kill('SIGKILL');
  await restartServer();
  await lockManager.restart();
  expect(await readLock(nats, 'survivor')).toEqual(granted);
  expect(denial(await acquire(nats, 'survivor', 'bob'))).toMatchObject({
    code: 'held',
    current_owner_id: 'ann',
    expires_at: granted.state.expires_at,
  });
  success(await release(nats, 'survivor', 'ann', { token: granted.state.fencing_token }), 'released');
});

test('tokens strictly grow over releases, expiries and restarts of everything (I7)', async () => {
  const tokens: number[] = [];
  const grant = async (ttl: number): Promise<LeasePayload> => {
    const granted = lease(await acquire(nats, 'growing', `owner-${tokens.length}`, { ttl }));
    tokens.push(granted.state.fencing_token);
    return granted;
  };
  const end = async (): Promise<void> => {
    const owner = `owner-${tokens.length - 1}`;
    success(await release(nats, 'growing', owner), 'released');
  };
  await grant(60_000);
  await end();
  await expectEndOf(await grant(500));
  await grant(60_000);
  await end();
  await lockManager.restart();
  await grant(60_000);
  await end();
  await killServer();
  await grant(60_000);
  await end();
  const last = await grant(3_000);
  await lockManager.kill();
  await server.kill('SIGKILL');
  await restartServer();
  await lockManager.restart();
  await expectEndOf(last);
  await grant(60_000);
  expect(tokens).toHaveLength(7);
  for (const [i, token] of tokens.entries()) expect(token).toBeGreaterThan(tokens[i - 1] ?? 0);
});

test('a retry gets its first outcome after the lock manager and the server were killed (I5)', async () => {
  const sent: [send: () => Promise<RawReply>, first: RawReply][] = [];
  const send = async (command: () => Promise<RawReply>): Promise<void> => {
    sent.push([command, await command()]);
  };
  const id = (n: number): { commandId: string; ttl: number } => ({ commandId: `restart-${n}`, ttl: 60_000 });
  await send(() => acquire(nats, 'replayed', 'ann', id(1)));
  await send(() => refresh(nats, 'replayed', 'ann', id(2)));
  await send(() => release(nats, 'replayed', 'ann', { commandId: 'restart-3' }));
  await send(() => acquire(nats, 'replayed', 'bob', id(4)));
  for (let i = 0; i < 20; i++) lease(await refresh(nats, 'replayed', 'bob', { ttl: 60_000 }));
  const before = await readLock(nats, 'replayed');

  const again = async (): Promise<void> => {
    for (const [command, { event, payload }] of sent) {
      expect(await command()).toMatchObject({ replayed: true, event, payload });
    }
    expect(await readLock(nats, 'replayed')).toEqual(before);
  };
  await lockManager.restart();
  await again();
  await killServer();
  await again();
  await lockManager.restart();
  await again();
});

test('an acquire that was under way when the server was killed is granted once, to whoever asks again (I5)', async () => {
  const owners = Array.from({ length: 100 }, (_, i) => i);
  const ask = (i: number): Promise<RawReply | undefined> =>
    acquire(nats, `torn-${i}`, 'ann', { commandId: `torn-id-${i}`, ttl: 600_000, timeoutMs: 2_000 }).catch(
      () => undefined,
    );
  const asked = owners.map(ask);
  await Promise.race(asked);
  await server.kill('SIGKILL');
  await restartServer();
  const first = await Promise.all(asked);
  for (const i of owners) {
    const granted = await until(`torn-${i} is granted`, async () => {
      const reply = await ask(i);
      return reply !== undefined && isLease(reply) ? lease(reply) : undefined;
    });
    expect(granted).toMatchObject({ entity_version: 1, state: { owner_id: 'ann' } });
    const earlier = first[i];
    if (earlier !== undefined && isLease(earlier)) expect(granted).toEqual(earlier.payload);
  }
  expectEachOnce((await readCommits(nats, LOCKS)).filter(({ entityId }) => entityId.startsWith('torn-')));
});

test('leases that end while the server is down for long are ended by it before anybody else is granted them (I7)', async () => {
  // As it is configured for real use, the server takes its time for each end: long enough to get in between.
  const mesh = endWithTest(await startMesh(1, { configText: 'jetstream { sync_interval: always }' }));
  const client = mesh.connection;
  const resources = Array.from({ length: 600 }, (_, i) => `overdue-${i}`);
  const due = Date.now() + 3_000;
  const granted = await Promise.all(
    resources.map((resource) => acquire(client, resource, 'ann', { ttl: Math.max(500, due - Date.now()) })),
  );
  const lastEnd = Math.max(...granted.map((reply) => endOf(lease(reply))));
  const tokens = new Map(granted.map(lease).map((each) => [each.entity_id, each.state.fencing_token]));
  const announced = await followEvents(client);
  await mesh.server.kill('SIGKILL');
  await sleep(Math.max(0, lastEnd + 10_500 - Date.now()));
  const restarted = mesh.server.restart();

  const left = resources.toReversed();
  const taken: LeasePayload[] = [];
  const takeOver = async (): Promise<void> => {
    for (let resource = left.shift(); resource !== undefined; resource = left.shift()) {
      const name = resource;
      const bob = await until(`${name} is granted`, async () => {
        const options = { commandId: `take ${name}`, ttl: 600_000, timeoutMs: 400 };
        const reply = await acquire(client, name, 'bob', options).catch(() => undefined);
        return reply !== undefined && isLease(reply) ? lease(reply) : undefined;
      });
      taken.push(bob);
    }
  };
  await Promise.all(Array.from({ length: 16 }, takeOver));
  await restarted;
  // The server has nothing more to end when a lease that is due last is over.
  lease(await acquire(client, 'clock', 'ann', { ttl: 1_000 }));
  await storedExpiry(client, 'clock', 1);
  for (const bob of taken) {
    expect(bob).toMatchObject({ entity_version: 2, state: { owner_id: 'bob' } });
    expect(bob.state.fencing_token).toBeGreaterThan(tokens.get(bob.entity_id) as number);
    expect(await readLock(client, bob.entity_id)).toEqual(bob);
    // The lock manager may have ended ann's lease: the server's own end of it is void then.
    const later = announced.changes(bob.entity_id).filter(({ payload }) => payload.entity_version >= 2);
    expect(later).toMatchObject([{ event: 'acquired', payload: bob }]);
  }
});

test('a lock manager whose wall clock is set back by two hours while it is cut off comes back all the same', async () => {
  const own = endWithTest(await startNatsServer());
  const jumps = [new URL('./support/jump-clock.ts', import.meta.url).href];
  const manager = endWithTest(await startLockManagerProcess(own.url, 1, jumps));
  const reconnects = (): number => manager.log.split('reconnected to NATS').length - 1;
  for (const reconnected of [1, 2]) {
    // An hour ahead, and then an hour behind.
    manager.signal('SIGWINCH');
    await own.kill('SIGKILL');
    await own.restart();
    await until('it is connected again', () => reconnects() === reconnected, 20_000);
  }
  const client = endWithTest(await openConnection(own.url));
  lease(await acquire(client, 'after the jumps', 'ann'));
});
