/** Hunts dead letters of commands that were executed, as an agent with leases leaves them when an outcome is forgotten. */
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { queuedCommandSubject } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/nats-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { decidedBefore, type StoreOutcome } from '../../src/core/outcome.ts';
import { ensureExecutor } from '../../src/durable/consumer.ts';
import { DeadLetters } from '../../src/durable/dead-letters.ts';
import { durableCommands } from '../../src/durable/durable-commands.ts';
import { DEFAULT_RETRY } from '../../src/durable/retry-policy.ts';
import { startAgent } from '../../src/index.ts';
import { Requester } from '../../src/nats/requester.ts';
import { deleteMessage, nextMessage } from '../../src/nats/stored-messages.ts';
import { tally } from '../integration/tally.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const STREAM = 'COMMANDS_tally';
let server: NatsServer;
let connection: NatsConnection;
let requester: Requester;

beforeAll(async () => {
  server = await startNatsServer();
  // Its streams.
  await (await startAgent(tally, { nats: { servers: server.url } })).stop();
  connection = await openConnection(server.url);
  requester = new Requester(connection, '_INBOX', systemClock, 2_000);
});

afterAll(async () => {
  await connection?.close();
  await server?.stop();
});

/** A command whose every try finds that it was decided before. */
async function decide(entityId: string, outcome: StoreOutcome, meanwhile: (sequence: number) => Promise<unknown>) {
  const told: StoreOutcome[] = [];
  const marks: number[] = [];
  const letters = new DeadLetters(requester, 'tally');
  const subject = queuedCommandSubject('tally', entityId, 'add');
  const ack = await connection.request(subject, JSON.stringify({ entity_id: entityId, data: { by: 1 } }));
  const { seq } = ack.json<{ seq: number }>();
  await ensureExecutor(connection, 'tally');
  const worker = durableCommands({
    agent: 'tally',
    connection,
    requester,
    clock: systemClock,
    inboxPrefix: '_INBOX',
    serverNow: () => Date.now(),
    retry: DEFAULT_RETRY,
    letters,
    intake: {
      decideQueued: async () => {
        await meanwhile(seq);
        return outcome;
      },
      concludeQueued: (_action, _headers, found) => void told.push(found),
    },
    store: {
      moveMark: (_entity, { sequence }) => {
        marks.push(sequence);
        return Promise.resolve(undefined);
      },
    },
    onRetry: () => {},
    onDead: () => {},
    onAbsent: () => {},
    onFault: () => {},
  });
  worker.start();
  endWithTest(worker);
  await until('it has left', async () => (await nextMessage(requester, STREAM, subject, 1)) === undefined);
  await until('it is seen to', () => worker.stats().done === 1);
  await worker.stop();
  const first = await letters.after(0);
  if (first !== undefined) await letters.drop(first.letter.id);
  return { told: told.map(({ kind }) => kind), isMoved: marks.includes(seq), letter: first?.letter.code };
}

const command = (entityId: string) => ({ action: 'add', commandId: 'c', entityId });
const nothing = () => Promise.resolve();

test('a command that was committed before is done', async () => {
  const found = await decide('done', decidedBefore(command('done'), true), nothing);
  expect(found).toEqual({ told: ['decided_before'], isMoved: false, letter: undefined });
});

test('a command of which nobody knows how it was decided is a dead letter', async () => {
  const found = await decide('unknown', decidedBefore(command('unknown'), false), nothing);
  expect(found).toEqual({ told: ['decided_before'], isMoved: true, letter: 'decided_before' });
});

test('a command that another worker has removed meanwhile is nobody’s dead letter', async () => {
  const remove = (sequence: number) => deleteMessage(requester, STREAM, sequence);
  const found = await decide('gone', decidedBefore(command('gone'), false), remove);
  expect(found).toEqual({ told: [], isMoved: false, letter: undefined });
});
