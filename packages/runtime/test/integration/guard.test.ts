// Hunts: a holder whose lease is over and that still gets a write through: past a replica or a cache that does not know
// better, after a restart, a delete or an expiry, by a retry, in a race.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { encode, entitySubject, HEADERS } from '@meshforge/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startAgent, type AgentOptions, type RunningAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { expectEachOnce, expectGapless, readCommits, type Commit } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { openConnection, type NatsConnection, type RawReply } from '../support/wire.ts';
import { fencesOf, guarded, GuardedEntity, ownHeaders } from './guarded.ts';

let server: NatsServer;
let connection: NatsConnection;
let item: GuardedEntity;
let items = 0;

beforeAll(async () => {
  server = await startNatsServer();
  connection = await openConnection(server.url);
});

afterAll(async () => {
  await connection?.close();
  await server?.stop();
});

beforeEach(() => {
  item = new GuardedEntity(connection, `entity ${++items}`);
});

async function start(options: AgentOptions = {}): Promise<RunningAgent> {
  return endWithTest(await startAgent(guarded, { ...options, nats: { servers: server.url } }));
}

function expectStale(reply: RawReply, sent: number, seen: number): void {
  expect(reply).toMatchObject({
    event: 'evt.guarded.rejected',
    errorCode: 422,
    payload: { entity_id: item.id, code: 'stale_token' },
  });
  const { reason } = reply.payload as { reason: string };
  expect(reason).toContain(`"job" is over: fencing token ${sent} was sent, and the entity has seen ${seen}`);
}

describe('a token that is overtaken is refused', () => {
  test('by the agent that saw the higher one, which lets equal and higher ones pass', async () => {
    await start();
    await item.send('open');
    expect((await item.add(5)).event).toBe('evt.guarded.added');
    expect((await item.add(5)).event).toBe('evt.guarded.added');
    expectStale(await item.add(4), 4, 5);
    expect((await item.add(6)).event).toBe('evt.guarded.added');
    expectStale(await item.add(5), 5, 6);
    // Who names no lease is not guarded, and loosens nothing.
    expect((await item.send('add', { data: { by: 1 } })).event).toBe('evt.guarded.added');
    expectStale(await item.add(5), 5, 6);
    expect((await item.commits()).map(fencesOf)).toEqual(['', 'job.5', 'job.5', 'job.6', 'job.6']);
  });

  test('before it is told of another version', async () => {
    await start();
    await item.send('open');
    await item.add(5);
    expectStale(await item.add(4, { expectedVersion: 1 }), 4, 5);
    expect((await item.add(5, { expectedVersion: 1 })).event).toBe('evt.guarded.conflict');
  });

  test('by another replica, by one with a memory from before, and after all of them started anew', async () => {
    const [one, other] = [await start(), await start()];
    await item.send('open');
    // Both replicas get some of these, and remember the entity.
    await Promise.all(Array.from({ length: 30 }, () => item.add(1)));
    await item.add(2);
    const replies = await Promise.all(Array.from({ length: 30 }, () => item.add(1)));
    for (const reply of replies) expectStale(reply, 1, 2);
    await one.stop();
    await other.stop();
    await start();
    expectStale(await item.add(1), 1, 2);
  });

  test('by an agent that keeps nothing in memory', async () => {
    await start({ cache: { entities: 0 } });
    await item.send('open');
    await item.add(2);
    expectStale(await item.add(1), 1, 2);
  });

  test('after the entity was deleted and created again', async () => {
    await start();
    await item.send('open');
    await item.add(7);
    await item.send('close');
    expectStale(await item.send('open', { token: 6 }), 6, 7);
    expect((await item.send('open', { token: 7 })).event).toBe('evt.guarded.opened');
    expectStale(await item.add(6), 6, 7);
    expect((await item.commits()).map(fencesOf)).toEqual(['', 'job.7', 'job.7', 'job.7']);
  });

  test('before, while and after the entity itself is leased, whose end the server commits', async () => {
    await start();
    await item.send('keep', { token: 3, data: { ms: 600 } });
    expectStale(await item.send('keep', { token: 2, data: { ms: 600 } }), 2, 3);
    await until('the lease has lapsed', async () => (await item.commits()).some(({ event }) => event === 'lapsed'));
    expect((await item.commits()).map(fencesOf)).toEqual(['job.3']);
    expectStale(await item.add(2), 2, 3);
    await start({ cache: { entities: 0 } });
    await Promise.all(Array.from({ length: 10 }, async () => expectStale(await item.add(2), 2, 3)));
  });

  test('after an expiry that knows nothing of the tokens which came while its lease stood', async () => {
    await start();
    await item.send('keep', { token: 3, data: { ms: 1_000 } });
    await item.send('remark', { token: 4 });
    await until('the lease has lapsed', async () => (await item.commits()).some(({ event }) => event === 'lapsed'));
    expect((await item.commits()).map(fencesOf)).toEqual(['job.4', 'job.3']);
    await start({ cache: { entities: 0 } });
    await Promise.all(Array.from({ length: 10 }, async () => expectStale(await item.add(3), 3, 4)));
    expect((await item.add(4)).payload).toMatchObject({ entity_version: 2 });
    expect(fencesOf((await item.commits()).at(-1) as Commit)).toBe('job.4');
  });

  test('where an expiry, long on its way, brings an older memory', async () => {
    const first = await start();
    await item.send('keep', { token: 3, data: { ms: 60_000 } });
    const [stored] = await item.commits();
    await item.add(4);
    await first.stop();
    const headers = ownHeaders(stored as Commit);
    headers.set('Nats-Scheduler', entitySubject('guarded', item.id, 1, 'kept'));
    headers.set('Nats-Schedule-Next', 'purge');
    const body = encode({ entity_id: item.id, entity_version: 1, state: { n: 0, kept: true } });
    await connection.request(entitySubject('guarded', item.id, 'x', 'lapsed'), body, { headers, timeout: 30_000 });
    expect((await item.commits()).map(fencesOf)).toEqual(['job.4', 'job.3']);
    await start();
    expectStale(await item.add(3), 3, 4);
    expect((await item.add(4)).payload).toMatchObject({ entity_version: 3 });
  });
});

test('a refused command raises no token', async () => {
  await start();
  await item.send('open');
  await item.add(5);
  for (const refused of [
    await item.add(9, { expectedVersion: 1 }),
    await item.send('open', { token: 9 }),
    await item.add(9, { data: { by: 'much' } }),
    await item.send('seal', { token: 9, data: { seal: 'wax' } }),
  ]) {
    expect(refused.errorCode).toBeGreaterThanOrEqual(400);
  }
  expect((await item.add(5)).event).toBe('evt.guarded.added');
});

test('what a caller writes into the private header changes nothing', async () => {
  await start();
  await item.send('open', { headers: { [HEADERS.fences]: 'job.99' } });
  expect((await item.add(1, { headers: { [HEADERS.fences]: '' } })).event).toBe('evt.guarded.added');
  expect((await item.commits()).map(fencesOf)).toEqual(['', 'job.1']);
});

test('tokens of other resources and other entities do not count', async () => {
  await start();
  await item.send('open');
  await item.add(9);
  const odd = 'job.9 job 😀\r\nNats-Msg-Id: x';
  expect((await item.add(1, { resource: 'Job' })).event).toBe('evt.guarded.added');
  expect((await item.add(1, { resource: odd })).event).toBe('evt.guarded.added');
  expect((await item.add(1, { resource: odd.slice(0, -1) })).event).toBe('evt.guarded.added');
  await item.send('open', { entityId: `${item.id} too` });
  expect((await item.add(1, { entityId: `${item.id} too` })).event).toBe('evt.guarded.added');
  expectStale(await item.add(8), 8, 9);
});

test('an entity remembers 32 resources, refuses a 33rd, and forgets none', async () => {
  await start();
  await item.send('open');
  for (let i = 0; i < 32; i++) {
    expect((await item.add(2, { resource: i === 0 ? 'job' : `resource ${i}` })).event).toBe('evt.guarded.added');
  }
  const refused = await item.add(2, { resource: 'resource 32' });
  expect(refused).toMatchObject({ errorCode: 422, payload: { code: 'too_many_resources' } });
  expect(refused.payload['reason']).toMatch(/\(32, or fewer with long names\)/);
  expectStale(await item.add(1), 1, 2);
  for (let i = 1; i < 32; i++) expect((await item.add(1, { resource: `resource ${i}` })).errorCode).toBe(422);
  await start({ cache: { entities: 0 } });
  expect((await item.add(Number.MAX_SAFE_INTEGER)).event).toBe('evt.guarded.added');
});

test('names and tokens as long as they may be, under all that else may ride on a commit, still commit', async () => {
  await start();
  const id = '😀'.repeat(256);
  const long = (name: string): string => name + '😀'.repeat(255);
  const traces = { traceparent: 'x'.repeat(4_096), tracestate: 'x'.repeat(4_096), baggage: 'x'.repeat(4_096) };
  const headers = { ...traces, [HEADERS.correlationId]: '😀'.repeat(128), [HEADERS.causationId]: '😀'.repeat(128) };
  const token = Number.MAX_SAFE_INTEGER;
  const events: number[] = [];
  connection.subscribe('evt.guarded.*', { callback: (_, message) => void events.push(message.data.length) });
  const keep = (n: number): Promise<RawReply> => {
    const commandId = String(n).padStart(2, '0') + '😀'.repeat(126);
    // Outcomes of leases ride along, as many as there is room for.
    const data = { ms: 1_500, note: 'x'.repeat(1_900) };
    return item.send('keep', { entityId: id, token, resource: long('a'), headers, commandId, data });
  };
  for (let n = 0; n < 30; n++) expect((await keep(n)).event).toBe('evt.guarded.kept');
  const [stored] = (await readCommits(connection, 'guarded')).filter(({ entityId }) => entityId === id);
  expect(stored?.headers.get(HEADERS.recent).length).toBeGreaterThan(34_000);
  await start({ cache: { entities: 0 } });
  const refused = await Promise.all(
    Array.from({ length: 10 }, () => item.add(1, { entityId: id, resource: long('b') })),
  );
  for (const { payload } of refused) expect(payload).toMatchObject({ code: 'too_many_resources' });
  await until('every commit and the end of the lease are announced', () => events.length >= 41);
  expect((await item.add(token - 1, { entityId: id, resource: long('a') })).payload).toMatchObject({
    code: 'stale_token',
  });
});

test('I5: a retry is answered with its first outcome, also after a higher token', async () => {
  await start();
  await item.send('open');
  const first = await item.add(1, { commandId: `${item.id}/first` });
  await item.add(2);
  const again = await item.add(1, { commandId: `${item.id}/first` });
  expect([again.replayed, again.payload]).toEqual([true, first.payload]);
  // Longer ago than the entity remembers commands: the stream's dedupe window does.
  for (let i = 0; i < 40; i++) await item.add(2);
  const muchLater = await item.add(1, { commandId: `${item.id}/first` });
  expect([muchLater.replayed, muchLater.payload]).toEqual([true, first.payload]);
  expectStale(await item.add(1, { commandId: `${item.id}/second` }), 1, 2);
});

test('I3: once a token has committed, no lower one ever does, however holders race over replicas', async () => {
  for (let i = 0; i < 3; i++) await start({ cache: { entities: i } });
  await item.send('open');
  const HOLDERS = 5;
  const told = new Map<string, string>();
  const hold = async (token: number): Promise<void> => {
    // Each begins before the one before it has ended.
    await until('its turn comes', () => told.size >= (token - 1) * 20);
    await Promise.all(
      Array.from({ length: 4 }, async (_, hand) => {
        for (let i = 0; i < 25; i++) {
          const commandId = `${item.id}/${token}/${hand}/${i}`;
          const reply = await item.add(token, { commandId });
          told.set(commandId, reply.errorCode === 0 ? reply.event : (reply.payload['code'] as string));
        }
      }),
    );
  };
  await Promise.all(Array.from({ length: HOLDERS }, (_, i) => hold(i + 1)));
  const own = await item.commits();
  const tokens = own.slice(1).map(({ commandId }) => Number(commandId.split('/')[1]));
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
  expectGapless(own);
  expectEachOnce(own);
  const stored = new Set(own.map(({ commandId }) => commandId));
  expect([...told].filter(([id, what]) => (what === 'evt.guarded.added') !== stored.has(id))).toEqual([]);
  expect(new Set(told.values())).toEqual(new Set(['evt.guarded.added', 'stale_token']));
});
