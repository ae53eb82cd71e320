/**
 * Hunts a cell of docs/locks.md about `acquire` with `wait_ms` that a real server and a real lock manager answer otherwise:
 * too early, too late, never, or with something else. States that pass in a moment are written into the log by hand.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { encode, entitySubject, HEADERS, LOCK_LIMITS } from '@meshforge/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { headers as newHeaders, sendCommand, type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { join, ownerKey, writeWaitList, type WaitList } from '../src/wait-list.ts';
import { nameOf, readCells, type Asker, type Cell, type State } from './support/answers.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import { acquire, denial, isLease, lease, LOCKS, release, success } from './support/locks.ts';

const TTL = 60_000;
const WAIT = 30_000;
/** An answer that need not wait is there by then; one that came although it should wait would be, too. */
const SETTLED = 150;
/** A machine may stall for so long beyond the two seconds in which a free lock is for the first who waits. */
const STALL_MS = 2_000;

let mesh: Mesh;

beforeAll(async () => {
  mesh = await startMesh(2);
});

afterAll(() => mesh?.stop());

const wait = (resource: string, owner: string): Promise<RawReply> =>
  sendCommand(mesh.connection, LOCKS, 'acquire', {
    entityId: resource,
    data: { owner_id: owner, ttl_ms: TTL, wait_ms: WAIT },
    timeoutMs: WAIT + 10_000,
  });

interface Scene {
  /** Lets the lock come free for "me", where something is in the way. */
  clear: () => Promise<unknown>;
  /** The present lease's token; 0 = nobody's. */
  token: number;
  /** Requests of others, to be looked at in the end. */
  others: Promise<RawReply>[];
}

/** Writes a free lock as a lock manager would have left it, with owners who wait and whom nobody serves. */
async function writeFree(resource: string, endedAt: number, owners: readonly string[]): Promise<void> {
  const since = Date.now() - 10_000;
  const places = owners.map((owner, i) => ({
    owner: ownerKey(owner),
    command: 'lost',
    since: since + i,
    until: since + WAIT,
  }));
  const headers = newHeaders();
  headers.set(HEADERS.recent, '0.0');
  headers.set(HEADERS.notes, writeWaitList(places.reduce<WaitList>(join, [])));
  const times = { acquired_at: new Date(endedAt - TTL).toISOString(), expires_at: new Date(endedAt).toISOString() };
  const stored = await mesh.connection.request(
    entitySubject(LOCKS, resource, 0, 'released'),
    encode({ entity_id: resource, entity_version: 1, state: { owner_id: null, fencing_token: 1, ...times } }),
    { headers, timeout: 10_000 },
  );
  expect(stored.json()).not.toHaveProperty('error');
}

const NOTHING: Scene = { clear: () => Promise.resolve(), token: 0, others: [] };

async function play(state: State, asker: Asker, resource: string): Promise<Scene> {
  const holder = asker === 'its holder' || asker === 'its last holder' ? 'me' : 'you';
  switch (state) {
    case 'never held':
      return NOTHING;
    case 'free, released':
      lease(await acquire(mesh.connection, resource, holder));
      success(await release(mesh.connection, resource, holder), 'released');
      return NOTHING;
    case 'free, expired': {
      const expired = mesh.connection.subscribe('evt.lock.expired');
      await mesh.connection.flush();
      lease(await acquire(mesh.connection, resource, holder, { ttl: 500 }));
      for await (const event of expired) if (event.json<{ entity_id: string }>().entity_id === resource) break;
      return NOTHING;
    }
    case 'free, owners wait':
    case 'free for 2 s, owners wait': {
      const lists: Partial<Record<Asker, string[]>> = {
        'first who waits': ['me', 'cy'],
        'later who waits': ['bob', 'me', 'cy'],
      };
      const endedAt = Date.now() + (state === 'free, owners wait' ? STALL_MS : -LOCK_LIMITS.passOverMs);
      await writeFree(resource, endedAt, lists[asker] ?? ['bob', 'cy']);
      return NOTHING;
    }
    case 'held': {
      const { state: held } = lease(await acquire(mesh.connection, resource, holder, { ttl: TTL }));
      const others = asker === 'who waits for it' ? [wait(resource, 'me')] : [];
      if (others.length > 0) await announced(resource, 1);
      const clear = (): Promise<RawReply> => release(mesh.connection, resource, holder);
      return { clear, token: held.fencing_token, others };
    }
  }
}

const queuedEvents: { resource: string; owner: string }[] = [];

/** Resolves when "me" has been put into the queue so often. */
const announced = (resource: string, times: number): Promise<unknown> =>
  until(`${resource}: announced ${times} times`, () =>
    Promise.resolve(
      queuedEvents.filter((event) => event.resource === resource && event.owner === 'me').length >= times,
    ),
  );

async function expectAnswer(cell: Cell, resource: string): Promise<void> {
  const { asker, answer, state } = cell;
  const scene = await play(state, asker, resource);
  let isAnswered = false;
  const asked = wait(resource, 'me').finally(() => (isAnswered = true));
  const isHeld = scene.token > 0;
  // A free lock is "held" only until it has been free for two seconds: nobody serves those before.
  if (answer === 'waits' && isHeld) {
    await sleep(SETTLED);
    expect({ [nameOf(cell)]: isAnswered }).toEqual({ [nameOf(cell)]: false });
    await scene.clear();
  }
  const reply = await asked;
  expect(isLease(reply), `${nameOf(cell)} is answered ${reply.event}`).toBe(true);
  const { state: granted } = lease(reply);
  expect(granted.owner_id).toBe('me');
  if (answer === 'extended') expect(granted.fencing_token).toBe(scene.token);
  else expect(granted.fencing_token).toBeGreaterThan(scene.token);
  if (answer === 'waits' && !isHeld) await announced(resource, 1);
  if (answer === 'granted') expect(queuedEvents.filter((event) => event.resource === resource)).toEqual([]);
  // The same owner has asked anew: the earlier request gives way.
  for (const earlier of scene.others) expect(denial(await earlier).code).toBe('cancelled');
}

test('every cell of waiting is answered over the wire as the page says', async () => {
  mesh.connection.subscribe('evt.lock.queued', {
    callback: (_error, message) => {
      const { entity_id: resource, data } = message.json<{ entity_id: string; data?: { owner_id: string } }>();
      if (data !== undefined) queuedEvents.push({ resource, owner: data.owner_id });
    },
  });
  await mesh.connection.flush();
  const cells = readCells().filter(({ action }) => action === 'acquire, wait_ms > 0');
  expect(cells.length).toBe(14);
  await Promise.all(cells.map((cell, index) => expectAnswer(cell, `cell-${index}`)));
}, 30_000);
