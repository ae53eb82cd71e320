// Hunts: an event without a commit, a commit without its event, an event that says something else than the log, and a
// second stream on the events, which would make the server lose updates in silence.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { HEADERS, SIGNALS_STREAM, type JsonObject } from '@meshforge/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addStream } from '../../../packages/runtime/test/support/add-stream.ts';
import { readCommits, readStream } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import {
  openConnection,
  sendCommand,
  type NatsConnection,
  type RawReply,
} from '../../../packages/runtime/test/support/wire.ts';
import { startReplicas, type Replicas } from './support/replicas.ts';

let server: NatsServer;
let replicas: Replicas;
let connection: NatsConnection;

/** An event as it came by. */
interface Heard {
  subject: string;
  payload: JsonObject;
  /** 0 where there is none. */
  sequence: number;
  stream: string;
  commandId: string;
  correlationId: string;
  /** Names of all headers. */
  headers: string[];
}

const heard: Heard[] = [];
let replies: RawReply[];

/** Changes and refusals of every kind, many at once, on a few items. */
async function mixture(): Promise<RawReply[]> {
  const rounds = Array.from({ length: 30 }, async (_, round) => {
    const entityId = `item ${round % 5}.*`;
    const send = (action: string, data: JsonObject | undefined, expectedVersion?: number): Promise<RawReply> =>
      sendCommand(connection, 'inventory', action, {
        entityId,
        ...(data && { data }),
        ...(expectedVersion !== undefined && { expectedVersion }),
        headers: { [HEADERS.correlationId]: `round-${round}` },
      });
    return Promise.all([
      send('create', { name: 'bolt', quantity: 10 }),
      send('adjust', { delta: 1 }),
      send('adjust', { delta: 1 }, 2),
      send('adjust', { delta: -1_000 }),
      send('reserve', { order_id: `o${round}`, quantity: 2 }),
      send('reserve', { order_id: `o${round}`, quantity: 2 }),
      send('fulfil', { order_id: `o${round}` }),
      send('release', { order_id: 'nobody' }),
      send('update', { nonsense: true }),
      send('explode', {}),
      send('delete', undefined),
    ]);
  });
  return (await Promise.all(rounds)).flat();
}

beforeAll(async () => {
  server = await startNatsServer();
  replicas = await startReplicas(server.url, 3);
  connection = await openConnection(server.url);
  connection.subscribe('evt.inventory.>', {
    callback: (_error, message) => {
      const text = (name: string): string => message.headers?.get(name) ?? '';
      heard.push({
        subject: message.subject,
        payload: message.json(),
        sequence: Number(text('Nats-Sequence')),
        stream: text('Nats-Stream'),
        commandId: text(HEADERS.commandId),
        correlationId: text(HEADERS.correlationId),
        headers: [...(message.headers?.keys() ?? [])],
      });
    },
  });
  await connection.flush();
  replies = await mixture();
  await until('every command has its event', () => heard.length >= replies.length);
});

afterAll(async () => {
  await connection?.close();
  await replicas?.stop();
  await server?.stop();
});

test('I6: the live events of commits are the messages of the stream, one for one and in order', async () => {
  const commits = await readCommits(connection, 'inventory');
  const stored = await readStream(connection, 'ENTITIES_inventory');
  const live = heard.filter(({ sequence }) => sequence > 0);
  expect(live.map(({ sequence }) => sequence)).toEqual(commits.map(({ sequence }) => sequence));
  for (const [index, event] of live.entries()) {
    const { subject, payload, stream, commandId } = event;
    const commit = commits.at(index);
    expect({ subject, stream, commandId, version: payload['entity_version'] }).toEqual({
      subject: `evt.inventory.${commit?.event}`,
      stream: 'ENTITIES_inventory',
      commandId: commit?.commandId,
      version: commit?.version,
    });
    expect(payload).toEqual(stored.at(index)?.json());
    expect(event.correlationId).toMatch(/^round-\d+$/);
  }
});

test('I6: every reply names the event that was emitted, with its payload', () => {
  const byId = new Map(heard.map((event) => [event.commandId, event]));
  expect(byId.size).toBe(replies.length);
  for (const { commandId, event, payload } of replies) {
    expect({ event: byId.get(commandId)?.subject, payload: byId.get(commandId)?.payload }).toEqual({ event, payload });
  }
});

test('I2, I6: a refused command has no event of a commit, only its signal, which carries no sequence', async () => {
  const commits = new Set((await readCommits(connection, 'inventory')).map(({ commandId }) => commandId));
  const refused = replies.filter(({ errorCode }) => errorCode !== 0);
  expect(new Set(refused.map(({ event }) => event))).toEqual(
    new Set(['evt.inventory.conflict', 'evt.inventory.rejected']),
  );
  expect(new Set(refused.map(({ payload }) => payload['code']))).toEqual(
    new Set([
      undefined,
      'already_exists',
      'already_reserved',
      'insufficient_stock',
      'invalid_command',
      'not_found',
      'open_reservations',
      'unknown_action',
      'unknown_reservation',
    ]),
  );
  for (const { commandId } of refused) {
    expect(commits.has(commandId)).toBe(false);
    const own = heard.filter((event) => event.commandId === commandId);
    expect(own.map(({ sequence, stream }) => [sequence, stream])).toEqual([[0, '']]);
  }
  expect(commits.size + refused.length).toBe(replies.length);
});

test('SIGNALS keeps every conflict and rejection as it was heard, and no commit', async () => {
  const kept = await until('all signals are kept', async () => {
    const messages = await readStream(connection, SIGNALS_STREAM);
    return messages.length >= replies.filter(({ errorCode }) => errorCode !== 0).length && messages;
  });
  const signals = heard.filter(({ sequence }) => sequence === 0);
  const byId = (a: { commandId: string }, b: { commandId: string }): number => (a.commandId < b.commandId ? -1 : 1);
  expect(
    kept
      .map((message) => ({
        commandId: message.header.get(HEADERS.commandId),
        subject: message.subject,
        payload: message.json(),
      }))
      .toSorted(byId),
  ).toEqual(signals.map(({ commandId, subject, payload }) => ({ commandId, subject, payload })).toSorted(byId));
});

test('a caller cannot put headers of the server on an event, nor see what is private to the agent in a reply', async () => {
  const forged = await sendCommand(connection, 'inventory', 'create', {
    entityId: 'forged',
    data: { name: 'bolt' },
    headers: {
      'Nats-Msg-Id': 'forged',
      'Nats-Expected-Last-Sequence': '0',
      'Nats-Rollup': 'all',
      'Nats-Sequence': '999',
      'X-Mine': '1',
      [HEADERS.recent]: '[["x",1,1]]',
    },
  });
  expect(forged.event).toBe('evt.inventory.created');
  expect(forged.headers?.keys()).toEqual([HEADERS.commandId, HEADERS.serverTime]);
  const event = await until('its event is heard', () => heard.find(({ commandId }) => commandId === forged.commandId));
  expect(event.sequence).toBeGreaterThan(0);
  expect(event.sequence).not.toBe(999);
  expect(event.headers).not.toContain('X-Mine');
  expect(event.headers).not.toContain('Nats-Rollup');
  const stored = (await readCommits(connection, 'inventory')).at(-1);
  expect(stored?.headers.get('Nats-Msg-Id')).toBe(forged.commandId);
  expect(stored?.headers.get(HEADERS.recent)).toBe('0.0');
});

test.each([['evt.>'], ['evt.*.*'], ['evt.inventory.*'], ['evt.inventory.>']])(
  'the server refuses a second stream on %s',
  async (subject) => {
    await expect(addStream(connection, { name: 'TRAP', subjects: [subject] })).rejects.toThrow('overlap');
    // Nothing was lost on the way.
    const reply = await sendCommand(connection, 'inventory', 'adjust', { entityId: 'forged', data: { delta: 1 } });
    expect(reply.event).toBe('evt.inventory.adjusted');
  },
);
