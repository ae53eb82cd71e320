// Hunts for what waiting for a lock, and breaking one, need and the shipped permissions forbid: real lock managers, real users.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { runSmoke } from '@meshforge/smoke';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { refusalsDuring } from './refusals.ts';
import { runningMeshForThisFile } from './running-mesh.ts';

const running = runningMeshForThisFile();
const { connectAs, violations } = running;

interface Answer {
  readonly event: string;
  readonly payload: {
    readonly code?: string;
    readonly state?: { readonly owner_id: string | null; readonly fencing_token: number };
  };
}

async function send(
  connection: NatsConnection,
  action: string,
  resource: string,
  data: object,
  commandId: string = randomUUID(),
): Promise<Answer> {
  const body = JSON.stringify({ entity_id: resource, data });
  const lines = headers();
  lines.set('Mesh-Command-Id', commandId);
  return (await connection.request(`cmd.lock.${action}`, body, { headers: lines, timeout: 60_000 })).json<Answer>();
}

/** Resolves when so many wait. */
async function waiting(connection: NatsConnection, resource: string, waiters: number): Promise<void> {
  await until(`${waiters} wait for ${resource}`, async () => {
    const query = JSON.stringify({ entity_id: resource });
    const answer = await connection.request('qry.lock.get', query, { timeout: 60_000 });
    return answer.json<{ waiters?: number }>().waiters === waiters;
  });
}

const waitMs = 60_000;

test('a waiter keeps its place when the process that has its command stops: it asks again, and another one answers', async () => {
  const client = await connectAs('client');
  await send(client, 'acquire', 'handed-over', { owner_id: 'ann' });
  const wait = (): Promise<Answer> =>
    send(client, 'acquire', 'handed-over', { owner_id: 'bob', wait_ms: waitMs }, 'bob waits');
  const answer = wait();
  await waiting(client, 'handed-over', 1);

  const before = running.agents.filter(({ name }) => name === 'lockManager');
  await running.start('lockManager');
  for (const { child, exited } of before) {
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  }
  expect((await answer).payload.code).toBe('unavailable');
  const again = wait();
  await send(client, 'release', 'handed-over', { owner_id: 'ann' });
  expect(await again).toMatchObject({ event: 'evt.lock.acquired', payload: { state: { owner_id: 'bob' } } });
  expect(violations()).toEqual([]);
});

test('a grant is taken back when its waiter has gone: the server tells the lock manager', async () => {
  const client = await connectAs('client');
  const leaving = await connectAs('client');
  const events: { owner_id: string | null; cause?: string }[] = [];
  client.subscribe('evt.lock.released', {
    callback: (_error, message) => {
      const { data, entity_id: id } = message.json<{ entity_id: string; data?: { owner_id: string; cause: string } }>();
      if (id === 'left' && data !== undefined) events.push(data);
    },
  });
  await send(client, 'acquire', 'left', { owner_id: 'ann' });
  const unanswered = send(leaving, 'acquire', 'left', { owner_id: 'bob', wait_ms: waitMs }).catch(() => 'gone');
  await waiting(client, 'left', 1);
  const third = send(client, 'acquire', 'left', { owner_id: 'cy', wait_ms: waitMs });
  await waiting(client, 'left', 2);
  await leaving.close();
  expect(await unanswered).toBe('gone');
  await send(client, 'release', 'left', { owner_id: 'ann' });
  expect(await third).toMatchObject({ event: 'evt.lock.acquired', payload: { state: { owner_id: 'cy' } } });
  expect(events).toEqual([expect.objectContaining({ owner_id: 'bob', cause: 'gone' })]);
  expect(violations()).toEqual([]);
});

test('an operator breaks a lease that a client cannot break, and the waiter gets the lock', async () => {
  const client = await connectAs('client');
  const operator = await connectAs('operator');
  const held = (await send(client, 'acquire', 'stuck', { owner_id: 'ann' })).payload.state;
  const answer = send(client, 'acquire', 'stuck', { owner_id: 'bob', wait_ms: waitMs });
  const told: unknown[] = [];
  client.subscribe('evt.lock.lost', { callback: (_error, message) => void told.push(message.json()) });
  await waiting(client, 'stuck', 1);
  const command = JSON.stringify({ entity_id: 'stuck', data: { reason: 'the job hangs' } });
  const { id: replica } = (await client.request('$SRV.PING.sys_lock_manager')).json<{ id: string }>();
  const subjects = ['cmd.lock.break', `cmd.lock.break.${replica}`];
  const refused = await refusalsDuring(client, async () => {
    for (const subject of subjects) client.publish(subject, command);
    await client.flush();
    await sleep(300);
  });
  expect(refused).toEqual(subjects.map((subject) => `publish ${subject}`));
  await waiting(client, 'stuck', 1);
  const broken = await send(operator, 'break', 'stuck', { reason: 'the job hangs', operator_id: 'olga' });
  expect(broken).toMatchObject({
    event: 'evt.lock.released',
    payload: { data: { cause: 'broken', owner_id: 'ann', reason: 'the job hangs', operator_id: 'olga' } },
  });
  expect(await answer).toMatchObject({ event: 'evt.lock.acquired', payload: { state: { owner_id: 'bob' } } });
  await until('the holder is told', () => told.length > 0);
  const lease = { fencing_token: held?.fencing_token, owner_id: 'ann' };
  expect(told).toEqual([expect.objectContaining({ ...lease, entity_id: 'stuck' })]);
  // What the client tried above is the only thing that was refused.
  expect(violations().filter((line) => !line.includes('cmd.lock.break'))).toEqual([]);
});

test('the check of broken leases is made for the operator, and skipped for a client', async () => {
  const skippedOf = async (name: 'client' | 'operator'): Promise<number> => {
    const { inboxPrefix, seedFile: nkeySeedFile } = running.users[name];
    const connection = { servers: [running.url], nkeySeedFile };
    const report = await runSmoke({ connection, inboxPrefix, only: 'break ends a lease', patienceMs: 20_000 });
    expect(report).toMatchObject({ failed: 0, checks: [{ ok: true }] });
    return report.skipped;
  };
  expect(await skippedOf('client')).toBe(1);
  expect(await skippedOf('operator')).toBe(0);
});

// What README.md says of listening to everything. If this fails, the server has learned better: change the page, then the test.
test('while somebody listens to everything, a waiter that has gone is granted the lock until its lease ends', async () => {
  const client = await connectAs('client');
  const leaving = await connectAs('client');
  const operator = await connectAs('operator');
  operator.subscribe('>', { callback: () => undefined });
  await operator.flush();
  await send(client, 'acquire', 'overheard', { owner_id: 'ann' });
  const waits = { owner_id: 'bob', wait_ms: waitMs, take_up_ms: 1_500 };
  const unanswered = send(leaving, 'acquire', 'overheard', waits).catch(() => 'gone');
  await waiting(client, 'overheard', 1);
  await leaving.close();
  await unanswered;
  const ends: string[] = [];
  client.subscribe('evt.lock.*', {
    callback: (_error, { subject }) => {
      if (subject !== 'evt.lock.denied') ends.push(subject);
    },
  });
  await client.flush();
  await send(client, 'release', 'overheard', { owner_id: 'ann' });
  await until('bob’s lease has ended', () => ends.length === 3);
  expect(ends).toEqual(['evt.lock.released', 'evt.lock.acquired', 'evt.lock.expired']);
});
