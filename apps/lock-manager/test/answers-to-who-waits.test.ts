/**
 * Hunts a cell of docs/locks.md about `acquire` with `wait_ms` that a real server and a real lock manager answer otherwise:
 * too early, too late, never, or with something else. States that pass in a moment are written into the log by hand.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { encode, entitySubject, HEADERS } from '@meshforge/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { headers as newHeaders, sendCommand, type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { enqueue, writeQueue, type Queue } from '../src/waiting/queue.ts';
import { nameOf, readCells, type Asker, type Cell, type State } from './support/answers.ts';
import { startMesh, type Mesh } from './support/lock-manager.ts';
import { acquire, denial, isLease, lease, LOCKS, release, success } from './support/locks.ts';

const TTL = 60_000;
const WAIT = 30_000;
/** An answer that need not wait is there by then; one that came although it should wait would be, too. */
const SETTLED = 150;

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

/** Writes an entity as a lock manager would have left it. */
async function writeCommit(
  resource: string,
  event: string,
  body: { version: number; owner: string | null; endsAt: number },
  lines: Readonly<Record<string, string>>,
): Promise<void> {
  const { version, owner, endsAt } = body;
  const times = { acquired_at: new Date(endsAt - TTL).toISOString(), expires_at: new Date(endsAt).toISOString() };
  const headers = newHeaders();
  for (const [name, value] of Object.entries(lines)) headers.set(name, value);
  const state = { owner_id: owner, fencing_token: 1, ...times };
  const stored = await mesh.connection.request(
    entitySubject(LOCKS, resource, event),
    encode({ entity_id: resource, entity_version: version, state }),
    { headers, timeout: 10_000 },
  );
  expect(stored.json()).not.toHaveProperty('error');
}

const notesOf = (owners: readonly string[]): string => {
  const since = Date.now() - 1_000;
  const places = owners.map((owner, index) => ({ owner, since: since + index, until: since + WAIT }));
  return writeQueue(places.reduce<Queue>((queue, { owner, ...times }) => enqueue(queue, owner, times), []));
};

/** A lease whose schedule is gone, so that it ends only when `clear` has the server's part done. */
async function writeLease(resource: string, owner: string, endsAt: number, waits: readonly string[]): Promise<Scene> {
  const notes: Record<string, string> = waits.length === 0 ? {} : { [HEADERS.notes]: notesOf(waits) };
  await writeCommit(
    resource,
    'queued',
    { version: 1, owner, endsAt },
    { [HEADERS.aside]: 'forgotten', [HEADERS.lease]: `acquired 1 ${endsAt}`, ...notes },
  );
  const clear = (): Promise<void> =>
    writeCommit(
      resource,
      'expired',
      { version: 1, owner, endsAt },
      { 'Nats-Scheduler': entitySubject(LOCKS, resource, 'acquired'), 'Nats-Schedule-Next': 'purge', ...notes },
    );
  return { clear, token: 1, others: [] };
}

const NOTHING: Scene = { clear: () => Promise.resolve(), token: 0, others: [] };

async function play(state: State, asker: Asker, resource: string): Promise<Scene> {
  const holder = asker === 'its holder' || asker === 'its last holder' ? 'me' : 'you';
  const waits = asker === 'who waits for it' ? ['me'] : [];
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
    case 'free, owners wait': {
      // Of owners whose commands are lost, as after a failure: the lock manager finds that out when their turn comes.
      const queues: Partial<Record<Asker, string[]>> = {
        'first in the queue': ['me', 'cy'],
        'later in the queue': ['bob', 'me', 'cy'],
      };
      const notes = notesOf(queues[asker] ?? ['bob', 'cy']);
      await writeCommit(
        resource,
        'released',
        { version: 1, owner: null, endsAt: Date.now() },
        { [HEADERS.notes]: notes },
      );
      return NOTHING;
    }
    case 'held': {
      const { state: held } = lease(await acquire(mesh.connection, resource, holder, { ttl: TTL }));
      const others = waits.map((owner) => wait(resource, owner));
      if (others.length > 0) await announced(resource, 1);
      const clear = (): Promise<RawReply> => release(mesh.connection, resource, holder);
      return { clear, token: held.fencing_token, others };
    }
    case 'held, last 250 ms':
      return await writeLease(resource, holder, Date.now() + 200, waits);
    case 'due, not yet ended':
      return await writeLease(resource, holder, Date.now() - 500, waits);
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
  // A free lock is "held" only until those before are found to have gone.
  if (answer === 'waits' && isHeld) {
    await sleep(SETTLED);
    expect({ [nameOf(cell)]: isAnswered }).toEqual({ [nameOf(cell)]: false });
    await scene.clear();
  }
  const reply = await asked;
  if (answer === 'too_late') expect(denial(reply).code).toBe('too_late');
  else {
    expect(isLease(reply), `${nameOf(cell)} is answered ${reply.event}`).toBe(true);
    const { entity_version: version, state: granted } = lease(reply);
    expect(granted.owner_id).toBe('me');
    expect(granted.fencing_token).toBe(answer === 'extended' ? scene.token : version);
    if (answer === 'waits' && !isHeld) await announced(resource, 1);
    if (answer === 'granted') expect(queuedEvents.filter((event) => event.resource === resource)).toEqual([]);
  }
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
  expect(cells.length).toBe(17);
  await Promise.all(cells.map((cell, index) => expectAnswer(cell, `cell-${index}`)));
}, 30_000);
