/**
 * Hunts a holder that works under a dead lease, and a lock that stays held by nobody: the client's `lock` and `acquire`
 * against the real lock manager, with outages, a blocked event loop and many clients at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer } from '@meshforge/nats-server';
import { lockContract } from '@meshforge/protocol';
import { connectMesh, type Lease, type Mesh as Client, type MeshError } from '@meshforge/runtime';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { startLockManagerProcess, startMesh, type Mesh } from './support/lock-manager.ts';
import { acquire, followEvents, release, type Announced } from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let mesh: Mesh;
let client: Client;
let announced: Announced;

beforeAll(async () => {
  mesh = await startMesh();
  announced = await followEvents(mesh.connection);
  client = await connectMesh({ servers: mesh.server.url });
});

afterAll(async () => {
  await client?.close();
  await mesh?.stop();
});

const newClient = async (url = mesh.server.url): Promise<Client> => endWithTest(await connectMesh({ servers: url }));
const ownerOf = async (resource: string): Promise<string | null> =>
  (await client.get(lockContract, resource))?.state.owner_id ?? null;
const lossOf = async (lease: Lease): Promise<unknown> => {
  await until('the lease is lost', () => lease.signal.aborted, 30_000);
  return lease.signal.reason;
};
/** How many grants the events of a lock tell of. Fails for one that came before the former was given back. */
function grantsOf(resource: string): number {
  let grants = 0;
  let holder: string | null = null;
  let token = 0;
  for (const { event, payload } of announced.changes(resource)) {
    expect(event).not.toBe('expired');
    if (event === 'acquired' && payload.state.fencing_token !== token) {
      expect(payload.state.fencing_token).toBeGreaterThan(token);
      token = payload.state.fencing_token;
      expect(holder).toBe(null);
      grants++;
    }
    holder = event === 'released' ? null : payload.state.owner_id;
  }
  return grants;
}

/** Nothing else of this process runs meanwhile. */
const block = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

describe('a lease', () => {
  test('is held for several times its time, with one token, and comes free when the work is done', async () => {
    const token = await client.lock('long', { ttlMs: 800, ownerId: 'ann' }, async (lease) => {
      await sleep(4_000);
      expect(lease.remainingMs()).toBeGreaterThan(0);
      expect(await ownerOf('long')).toBe('ann');
      return lease.fencingToken;
    });
    expect(await ownerOf('long')).toBe(null);
    expect(new Set(announced.changes('long').map(({ payload }) => payload.state.fencing_token))).toEqual(
      new Set([token]),
    );
    expect(announced.changes('long').filter(({ event }) => event === 'expired')).toEqual([]);
  });

  test('comes free when the work throws, which is what the caller gets', async () => {
    const thrown = new Error('of the work');
    await expect(
      client.lock('throws', {}, () => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    expect(await ownerOf('throws')).toBe(null);
  });

  test('comes free at the end of its block', async () => {
    {
      await using lease = await client.acquire('block', { ownerId: 'ann' });
      expect(await ownerOf('block')).toBe('ann');
      expect(lease.fencingToken).toBeGreaterThan(0);
    }
    expect(await ownerOf('block')).toBe(null);
  });

  test('is denied to a second, who is told who holds it', async () => {
    await using lease = await client.acquire('denied', { ownerId: 'ann', ttlMs: 60_000 });
    const denial = await client.acquire('denied').catch((error: unknown) => error);
    expect(denial).toMatchObject({
      code: 'lock_denied',
      details: { resource: 'denied', code: 'held', currentOwnerId: 'ann', retryAfterMs: expect.any(Number) },
    });
    expect(lease.remainingMs()).toBeGreaterThan(50_000);
  });

  test('is lost with its next refresh when somebody else has ended it, and the work is no success', async () => {
    let reason: unknown;
    const work = client.lock('ended', { ttlMs: 3_000, ownerId: 'ann' }, async (lease) => {
      await release(mesh.connection, 'ended', 'ann');
      await acquire(mesh.connection, 'ended', 'bob', { ttl: 60_000 });
      reason = await lossOf(lease);
      return 'success';
    });
    await expect(work).rejects.toMatchObject({ code: 'lease_lost', details: { cause: 'taken', resource: 'ended' } });
    await expect(work).rejects.toBe(reason);
    // What bob holds is bob's.
    expect(await ownerOf('ended')).toBe('bob');
  });

  test('is lost after a blocked event loop, at the first look and before any timer has run', async () => {
    const looks: unknown[] = [];
    const work = client.lock('blocked', { ttlMs: 500 }, (lease) => {
      looks.push(lease.signal.aborted);
      block(700);
      looks.push(lease.signal.aborted, lease.remainingMs());
      lease.throwIfLost();
      looks.push('work under a dead lease');
    });
    await expect(work).rejects.toMatchObject({ code: 'lease_lost', details: { cause: 'expired' } });
    expect(looks).toEqual([false, true, 0]);
  });

  test('that was blocked away is no success even if the work never looked', async () => {
    const work = client.lock('unseen', { ttlMs: 500 }, () => block(700));
    await expect(work).rejects.toMatchObject({ code: 'lease_lost' });
  });
});

describe('an outage', () => {
  test('of the lock manager, longer than the lease, ends it as expired before another gets the lock', async () => {
    const server = endWithTest(await startNatsServer());
    const manager = endWithTest(await startLockManagerProcess(server.url));
    const holder = await newClient(server.url);
    const lease = await holder.acquire('r', { ttlMs: 1_500 });
    await sleep(2_000);
    expect(lease.remainingMs()).toBeGreaterThan(0);
    process.kill(manager.pid as number, 'SIGSTOP');
    const loss = await lossOf(lease);
    process.kill(manager.pid as number, 'SIGCONT');
    expect(loss).toMatchObject({ code: 'lease_lost', details: { cause: 'expired' } });
    const next = await (await newClient(server.url)).acquire('r', { waitMs: 20_000 });
    expect(next.fencingToken).toBeGreaterThan(lease.fencingToken);
    expect(lease.remainingMs()).toBe(0);
    await next.release();
  });

  test('of the server, longer than the lease, ends it as disconnected; a shorter one does not', async () => {
    const server = endWithTest(await startNatsServer());
    endWithTest(await startLockManagerProcess(server.url));
    const holder = await newClient(server.url);
    const [short, long] = [
      await holder.acquire('short', { ttlMs: 1_000 }),
      await holder.acquire('long', { ttlMs: 30_000 }),
    ];
    await server.kill('SIGKILL');
    expect(await lossOf(short)).toMatchObject({ code: 'lease_lost', details: { cause: 'disconnected' } });
    await server.restart();
    await sleep(12_000);
    expect(long.remainingMs()).toBeGreaterThan(15_000);
    await long.release();
  });
});

describe('several locks', () => {
  test('are all or none', async () => {
    await using held = await client.acquire('all-c', { ownerId: 'bob', ttlMs: 60_000 });
    const denial = await client
      .acquire(['all-d', 'all-c', 'all-a'], { ownerId: 'ann' })
      .catch((error: unknown) => error);
    expect(denial).toMatchObject({ code: 'lock_denied', details: { resource: 'all-c', currentOwnerId: 'bob' } });
    expect(await ownerOf('all-a')).toBe(null);
    expect(announced.changes('all-a').map(({ event }) => event)).toEqual(['acquired', 'released']);
    expect(announced.changes('all-d')).toEqual([]);
    expect(held.remainingMs()).toBeGreaterThan(0);
  });

  test('of five, wanted by 20 clients in any order, never lead to a deadlock, and have one holder each', async () => {
    const names = ['p1', 'p2', 'p3', 'p4', 'p5'];
    const holders = new Map<string, Lease>();
    const clients = await Promise.all(Array.from({ length: 20 }, () => newClient()));
    let lost = 0;
    await Promise.all(
      clients.map(async (each, number) => {
        for (let round = 0; round < 3;) {
          const wanted = names
            .map((name) => ({ name, at: Math.random() }))
            .sort((a, b) => a.at - b.at)
            .slice(0, 2 + (number % 4))
            .map(({ name }) => name);
          const work = async (lease: Lease): Promise<void> => {
            for (const name of wanted) {
              // A machine that stalls makes leases end; each holder knows it before the next one begins.
              expect(holders.get(name)?.signal.aborted ?? true).toBe(true);
              holders.set(name, lease);
            }
            await sleep(Math.random() * 5);
            expect(lease.leases.map(({ resource }) => resource)).toEqual(wanted);
            for (const name of wanted) if (holders.get(name) === lease) holders.delete(name);
          };
          try {
            await each.lock(wanted, { ttlMs: 5_000, waitMs: 90_000 }, work);
            round++;
          } catch (error) {
            if ((error as MeshError).code !== 'lease_lost') throw error;
            lost++;
          }
        }
      }),
    );
    expect(lost).toBeLessThan(20);
    for (const name of names) expect(await ownerOf(name)).toBe(null);
    await until('the last release is announced', () =>
      names.every((name) => announced.changes(name).at(-1)?.event === 'released'),
    );
    for (const name of names) expect(grantsOf(name)).toBeGreaterThan(0);
  });
});

test('60 clients count without losing one, although reading and writing are two steps', async () => {
  const clients = await Promise.all(Array.from({ length: 60 }, () => newClient()));
  let counter = 0;
  let highest = 0;
  await Promise.all(
    clients.map(async (each) => {
      for (let round = 0; round < 3; round++) {
        await each.lock('counter', { ttlMs: 5_000, waitMs: 90_000 }, async (lease) => {
          const read = counter;
          await sleep(1);
          counter = read + 1;
          expect(lease.fencingToken).toBeGreaterThan(highest);
          highest = lease.fencingToken;
        });
      }
    }),
  );
  expect(counter).toBe(180);
});
