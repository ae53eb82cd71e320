/**
 * Hunts what three servers do to a lease that one does not: answers from a replica that lags, a leader that is killed
 * between a grant and its end, or in the very milliseconds of the end, when two leaders may announce it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsCluster, type NatsCluster, type NatsServer } from '@meshforge/nats-server';
import type { RunningAgent } from '@meshforge/runtime';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { byEntity, readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { openConnection, type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startReplica } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  endOf,
  followEvents,
  isLease,
  lease,
  LOCK_STREAM,
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

let cluster: NatsCluster;
/** One lock manager and one client at each of two servers: a server gives a command to the lock manager it has itself. */
let replicas: [RunningAgent, RunningAgent];
let clients: [Connection, Connection];
let nats: Connection;

beforeAll(async () => {
  cluster = await startNatsCluster();
  const [first, second] = cluster.nodes as [NatsServer, NatsServer];
  const options = { streamReplicas: 3 };
  replicas = [await startReplica(first.url, options), await startReplica(second.url, options)];
  clients = [await openConnection(first.url), await openConnection(second.url)];
  nats = clients[0];
  await cluster.ready();
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(replicas.map((replica) => replica.stop()));
  await cluster.stop();
});

async function streamLeader(): Promise<NatsServer> {
  return await until('the stream has a leader', async () => {
    const answer = await nats.request(`$JS.API.STREAM.INFO.${LOCK_STREAM}`, '', { timeout: 2_000 }).catch(() => null);
    const name = answer?.json<{ cluster?: { leader?: string } }>().cluster?.leader;
    return cluster.nodes.find((node) => node.name === name && node.isAlive);
  });
}

/** A client at a server that will not be killed: what is sent while a connection is down waits for its answer in vain. */
async function clientBeside(victim: NatsServer): Promise<Connection> {
  const other = cluster.nodes.find((node) => node !== victim && node.isAlive);
  return endWithTest(await openConnection((other as NatsServer).url));
}

/** Sends a command with the same id until it has an answer that tells its outcome, as a client does. */
async function insist(
  send: (options: { commandId: string; timeoutMs: number }) => Promise<RawReply>,
): Promise<RawReply> {
  const commandId = `insist-${Math.random()}`;
  return await until('a command is decided', async () => {
    const reply = await send({ commandId, timeoutMs: 2_000 }).catch(() => undefined);
    return reply === undefined || reply.errorCode === 503 ? undefined : reply;
  });
}

test('a lease is granted, denied, refreshed, released, retried and expires as on one server', async () => {
  const announced = await followEvents(nats);
  const first = await acquire(nats, 'plain', 'ann', { commandId: 'plain-1', ttl: 60_000 });
  const granted = lease(first);
  expect(granted).toMatchObject({ entity_version: 1, state: { owner_id: 'ann' } });
  const token = granted.state.fencing_token;
  expect(denial(await acquire(nats, 'plain', 'bob'))).toMatchObject({
    code: 'held',
    current_owner_id: 'ann',
    expires_at: granted.state.expires_at,
  });
  const refreshed = lease(await refresh(nats, 'plain', 'ann', { token, ttl: 61_000 }));
  expect(refreshed.state).toEqual({ ...granted.state, expires_at: refreshed.state.expires_at });
  const again = { replayed: true, event: first.event, payload: first.payload };
  expect(await acquire(nats, 'plain', 'ann', { commandId: 'plain-1', ttl: 60_000 })).toMatchObject(again);
  const released = success(await release(nats, 'plain', 'ann', { token }), 'released');
  expect(released.state.owner_id).toBeNull();

  for (let i = 0; i < 10; i++) {
    lease(await acquire(nats, 'plain', 'bob'));
    success(await release(nats, 'plain', 'bob'), 'released');
  }
  expect(await acquire(nats, 'plain', 'ann', { commandId: 'plain-1', ttl: 60_000 })).toMatchObject(again);

  const short = lease(await acquire(nats, 'plain', 'cy', { ttl: 700 }));
  expect(short.entity_version).toBe(24);
  const expired = await until('the lease expires', () => announced.changes('plain').find((c) => c.event === 'expired'));
  expect(expired.payload).toEqual(short);
  expect(expired.time).toBeGreaterThanOrEqual(endOf(short));
  expect(denial(await refresh(nats, 'plain', 'cy')).code).toBe('not_held');
  const last = lease(await acquire(nats, 'plain', 'ann'));
  expect(last.entity_version).toBe(25);
  expect(last.state.fencing_token).toBeGreaterThan(short.state.fencing_token);
  expect(flawsOf(announced.changes())).toEqual([]);
});

test('a refusal is never decided on what a lock manager remembers, nor on a server that lags behind', async () => {
  // Which of the two takes a command is the servers' choice: over so many locks, every order of the two comes about.
  const [here, there] = clients;
  const use = async (resource: string): Promise<void> => {
    lease(await acquire(here, resource, 'ann', { ttl: 60_000 }));
    success(await release(there, resource, 'ann'), 'released');
    const { entity_version: version, state } = lease(await acquire(here, resource, 'bob', { ttl: 60_000 }));
    expect(version).toBe(3);
    expect(denial(await release(there, resource, 'ann'))).toMatchObject({
      code: 'not_holder',
      current_owner_id: 'bob',
    });
    success(await release(here, resource, 'bob', { token: state.fencing_token }), 'released');
    expect(denial(await refresh(there, resource, 'bob')).code).toBe('not_held');
    const last = lease(await acquire(here, resource, 'ann', { expectedVersion: 4 }));
    expect(last.entity_version).toBe(5);
    expect(last.state.fencing_token).toBeGreaterThan(state.fencing_token);
  };
  await Promise.all(Array.from({ length: 80 }, (_, i) => use(`remembered-${i}`)));
  for (const replica of replicas) {
    expect(replica.stats().actions['release']?.outcomes.committed ?? 0).toBeGreaterThan(0);
  }
});

test('50 acquires at once through two lock managers make one holder, on each of 10 locks', async () => {
  const announced = await followEvents(nats);
  for (let lock = 0; lock < 10; lock++) {
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        acquire(clients[i % 2] as Connection, `rush-${lock}`, `owner-${i}`, { ttl: 60_000 }),
      ),
    );
    expect(replies.filter(isLease)).toHaveLength(1);
    const denied = replies.filter((reply) => !isLease(reply)).map(denial);
    expect(new Set(denied.map(({ code }) => code))).toEqual(new Set(['held']));
  }
  await until('the grants are announced', () => announced.changes().length === 10);
  expect(flawsOf(announced.changes())).toEqual([]);
});

test('a lease expires, never early, though the leader was killed since its grant; the next token is higher', async () => {
  const granted = lease(await acquire(nats, 'orphan', 'ann', { ttl: 3_000 }));
  const long = lease(await acquire(nats, 'held', 'ann', { ttl: 600_000 }));
  const leader = await streamLeader();
  const client = await clientBeside(leader);
  await leader.kill('SIGKILL');
  const expired = await storedExpiry(client, 'orphan', 1);
  expect(expired.payload).toEqual(granted);
  expect(expired.time).toBeGreaterThanOrEqual(endOf(granted));

  const next = lease(await insist((options) => acquire(client, 'orphan', 'bob', options)));
  expect(next).toMatchObject({ entity_version: 2, state: { owner_id: 'bob' } });
  expect(next.state.fencing_token).toBeGreaterThan(granted.state.fencing_token);
  expect(denial(await insist((options) => acquire(client, 'held', 'bob', options))).code).toBe('held');
  await leader.restart();
  await cluster.ready();
  expect(await readLock(client, 'held')).toEqual(long);
  expect(await readLock(client, 'orphan')).toEqual(next);
});

test('no grant is wiped or given twice when the leader is killed while leases end (I2, I7)', async () => {
  const resources = Array.from({ length: 200 }, (_, i) => `due-${i}`);
  const due = Date.now() + 3_000;
  const granted = await Promise.all(
    resources.map((resource) => acquire(nats, resource, 'ann', { ttl: Math.max(500, due - Date.now()) })),
  );
  const tokens = granted.map((reply) => lease(reply).state.fencing_token);
  const leader = await streamLeader();
  const client = await clientBeside(leader);
  const takeOver = async (resource: string): Promise<LeasePayload> => {
    for (;;) {
      const reply = await insist((options) => acquire(client, resource, 'bob', { ...options, ttl: 600_000 }));
      if (isLease(reply)) return lease(reply);
      expect(denial(reply).code).toBe('held');
      await sleep(20 + Math.random() * 60);
    }
  };
  await sleep(Math.max(0, due - 50 - Date.now()));
  const taken = Promise.all(resources.map(takeOver));
  // The first of them end now, and are on their way from the leader to the others.
  await sleep(Math.max(0, due + 20 + Math.random() * 60 - Date.now()));
  await leader.kill('SIGKILL');
  const leases = await taken;
  await leader.restart();
  await cluster.ready();
  // An end that another leader has announced once more would be here by now.
  await sleep(1_500);

  const commits = byEntity(await readCommits(client, LOCKS));
  for (const [i, bob] of leases.entries()) {
    const resource = resources[i] as string;
    const { acquired_at, fencing_token } = bob.state;
    expect(bob.state.owner_id).toBe('bob');
    expect(fencing_token).toBeGreaterThan(tokens[i] as number);
    // A try that was given up may have been granted after another try was denied; then bob came back and refreshed.
    const held = await readLock(client, resource);
    expect(held.entity_version).toBeGreaterThanOrEqual(bob.entity_version);
    expect(held.state).toMatchObject({ owner_id: 'bob', fencing_token, acquired_at });
    const events = (commits.get(resource) ?? []).map(({ event, version }) => `${event} ${version}`);
    expect(events).toEqual(['expired 1', `acquired ${held.entity_version}`]);
  }
});
