// Hunts: actions that let through who holds no lease, or the wrong one, and ways to send a command that lose the lease.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { encode, HEADERS } from '@meshforge/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connectMesh, startAgent, type RunningAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import type { Commit } from '../support/stream-witness.ts';
import { openConnection, type NatsConnection } from '../support/wire.ts';
import { guarded, guardedContract, GuardedEntity, ownHeaders } from './guarded.ts';

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

async function start(): Promise<RunningAgent> {
  return endWithTest(await startAgent(guarded, { nats: { servers: server.url } }));
}

describe('an action that requires a lease', () => {
  test('is refused without one, and says so in its schema', async () => {
    await start();
    await item.send('open');
    expect(await item.send('sign')).toMatchObject({
      event: 'evt.guarded.rejected',
      errorCode: 422,
      payload: {
        code: 'lease_required',
        reason: 'sign requires a lease, got none: send lease: { resource, fencing_token }',
      },
    });
    expect((await item.send('sign', { token: 1, resource: 'anything' })).event).toBe('evt.guarded.signed');
    const info = (await connection.request('$SRV.INFO.guarded')).json<{
      endpoints: { name: string; metadata: { request_schema: string } }[];
    }>();
    const required = info.endpoints
      .filter(({ metadata }) =>
        (JSON.parse(metadata.request_schema) as { required?: string[] }).required?.includes('lease'),
      )
      .map(({ name }) => name);
    expect(required).toEqual(['sign', 'seal']);
  });

  test('is refused under a lease on another resource than the one that it names', async () => {
    await start();
    await item.send('open');
    const data = { seal: 'wax' };
    const refused = await item.send('seal', { token: 1, data });
    expect(refused.payload).toMatchObject({ code: 'lease_required' });
    expect(refused.payload['reason']).toContain(`requires a lease on "wax of ${item.id}", got one on "job"`);
    expect((await item.send('seal', { token: 1, resource: `wax of ${item.id}`, data })).event).toBe(
      'evt.guarded.sealed',
    );
  });
});

test('a client names the lease with a command, an update and a command of its own process', async () => {
  const agent = await start();
  const mesh = endWithTest(await connectMesh({ servers: server.url }));
  await mesh.request(guardedContract, 'open', { entityId: item.id, data: {} });
  /** As a held lock has it, and more. */
  const lock = { resource: 'job', fencingToken: 2, owner: 'me' } as const;
  const stale = { resource: 'job', fencingToken: 1 };
  const decide = () => ({ action: 'add', data: { by: 1 } }) as const;
  const outcomes = async (lease: typeof stale | typeof lock): Promise<unknown[]> => {
    const all = [
      await mesh.request(guardedContract, 'add', { entityId: item.id, lease, data: { by: 1 } }),
      await mesh.update(guardedContract, item.id, decide, { lease }),
      await agent.execute('add', { entityId: item.id, lease, data: { by: 1 } }),
    ];
    return all.map((outcome) => (outcome?.kind === 'rejected' ? outcome.payload.code : outcome?.kind));
  };
  expect(await outcomes(lock)).toEqual(['committed', 'committed', 'committed']);
  expect(await outcomes(stale)).toEqual(['stale_token', 'stale_token', 'stale_token']);
});

test('I8: an action of the agent itself is unknown to everybody else, and is not named', async () => {
  const agent = await start();
  await item.send('open');
  const reply = await item.send('tidy');
  expect(reply).toMatchObject({
    errorCode: 400,
    payload: {
      code: 'unknown_action',
      reason: 'unknown action: expected one of open, add, close, keep, remark, sign, seal',
    },
  });
  expect((await agent.execute('tidy', { entityId: item.id, data: {} })).kind).toBe('committed');
});

test('I8: an entity whose memory of tokens is none that an agent wrote takes no commands, and others do', async () => {
  await start();
  await item.send('open');
  await item.add(1);
  const last = (await item.commits()).at(-1) as Commit;
  const headers = ownHeaders(last);
  headers.set(HEADERS.fences, 'job.none at all');
  const body = encode({ entity_version: 3, state: { n: 0, kept: false } });
  await connection.request(last.subject, body, { headers, timeout: 30_000 });
  expect((await item.add(1)).payload).toMatchObject({ code: 'unavailable' });
  expect((await item.send('open', { entityId: `${item.id} too` })).event).toBe('evt.guarded.opened');
});
