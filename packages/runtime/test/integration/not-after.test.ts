/** Hunts commands that are decided after the time until which their sender wanted them. */
import { commandSubject, encode, HEADERS } from '@meshforge/protocol';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { headers as newHeaders, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { tally, tallyContract } from './tally.ts';

let server: NatsServer;
let agent: RunningAgent;
let mesh: Mesh;
let connection: NatsConnection;

beforeAll(async () => {
  server = await startNatsServer();
  agent = await startAgent(tally, { nats: { servers: server.url } });
  mesh = await connectMesh({ servers: server.url });
  connection = await connect({ servers: server.url });
});

afterAll(async () => {
  await connection?.close();
  await mesh?.close();
  await agent?.stop();
  await server?.stop();
});

async function send(action: string, entityId: string, lines: Record<string, string>) {
  const headers = newHeaders();
  for (const [name, value] of Object.entries(lines)) headers.set(name, value);
  const body = encode({ entity_id: entityId, data: action === 'add' ? { by: 1 } : {} });
  const reply = await connection.request(commandSubject('tally', action), body, { headers, timeout: 10_000 });
  return { ...reply.json<{ event: string; payload: { code?: string; reason?: string } }>(), headers: reply.headers };
}

const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();

test('a command is decided before its time, and refused after it; nothing changes then', async () => {
  expect(await send('open', 'a', { [HEADERS.notAfter]: inMs(60_000) })).toMatchObject({ event: 'evt.tally.opened' });
  const late = await send('add', 'a', { [HEADERS.notAfter]: inMs(-60_000) });
  expect(late).toMatchObject({ event: 'evt.tally.rejected', payload: { code: 'expired' } });
  expect(late.payload.reason).toContain('by the server');
  expect((await mesh.get(tallyContract, 'a'))?.entity_version).toBe(1);
});

test('a command that was committed in time gets its outcome again, however late it is asked for', async () => {
  const lines = { [HEADERS.commandId]: 'once' };
  await send('open', 'b', { ...lines, [HEADERS.notAfter]: inMs(60_000) });
  const again = await send('open', 'b', { ...lines, [HEADERS.notAfter]: inMs(-60_000) });
  expect(again).toMatchObject({ event: 'evt.tally.opened' });
  expect(again.headers?.get(HEADERS.replayed)).toBe('true');
});

test('a time that is none is refused', async () => {
  const odd = await send('open', 'c', { [HEADERS.notAfter]: 'tomorrow' });
  expect(odd).toMatchObject({ payload: { code: 'invalid_command' } });
  expect(odd.payload.reason).toContain(HEADERS.notAfter);
});

test('a client bounds the decision once it knows the time of the server', async () => {
  const fresh = await connectMesh({ servers: server.url });
  try {
    // Before the first reply nothing is bounded.
    const first = await fresh.request(tallyContract, 'open', { entityId: 'd', data: {}, notAfterMs: 0 });
    expect(first.kind).toBe('committed');
    const late = await fresh.request(tallyContract, 'add', { entityId: 'd', data: { by: 1 }, notAfterMs: -1_000 });
    expect(late).toMatchObject({ kind: 'rejected', payload: { code: 'expired' } });
    const early = await fresh.request(tallyContract, 'add', { entityId: 'd', data: { by: 1 }, notAfterMs: 60_000 });
    expect(early.kind).toBe('committed');
  } finally {
    await fresh.close();
  }
});
