// Hunts: what an agent does that was frozen (a paused machine, a long swap) and wakes up with commands that others have
// decided meanwhile, and with a memory of entities that is long out of date.
import { startNatsServer } from '@meshforge/nats-server';
import { expect, test } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import {
  openConnection,
  sendCommand,
  type RawCommand,
  type RawReply,
} from '../../../packages/runtime/test/support/wire.ts';
import { startAgentProcesses } from './support/agent-processes.ts';

/** The server spreads them at random: enough that both of two replicas get some. */
const COPIES = 30;

test('I2, I3, I5: copies of commands that a frozen agent held back change nothing when it thaws', async () => {
  const server = endWithTest(await startNatsServer());
  const { agents } = endWithTest(await startAgentProcesses(server.url, 2));
  const connection = endWithTest(await openConnection(server.url));
  const frozen = agents.at(0)?.pid as number;

  /** Sends all copies; answers what came back at once, and what is still to come. */
  const sendCopies = async (
    action: string,
    command: RawCommand,
  ): Promise<{ first: RawReply; all: Promise<RawReply[]> }> => {
    const replies: RawReply[] = [];
    const copies = Array.from({ length: COPIES }, async () => {
      const reply = await sendCommand(connection, 'inventory', action, { ...command, timeoutMs: 120_000 });
      replies.push(reply);
      return reply;
    });
    const first = await until('the agent that is awake has answered', () => replies.at(0));
    return { first, all: Promise.all(copies) };
  };

  // Both agents know the item at version 1.
  await (
    await sendCopies('create', { entityId: 'item', data: { name: 'bolt', quantity: 5 }, commandId: 'a' })
  ).all;
  process.kill(frozen, 'SIGSTOP');
  const reserve = await sendCopies('reserve', {
    entityId: 'item',
    data: { order_id: 'o', quantity: 5 },
    commandId: 'b',
  });
  const stale = await sendCopies('adjust', {
    entityId: 'item',
    expectedVersion: 1,
    data: { delta: 1 },
    commandId: 'c',
  });
  const fulfil = await sendCopies('fulfil', { entityId: 'item', data: { order_id: 'o' }, commandId: 'd' });
  const remove = await sendCopies('delete', { entityId: 'item', expectedVersion: 3, commandId: 'e' });
  const rebirth = await sendCopies('create', { entityId: 'item', data: { name: 'nut' }, commandId: 'f' });
  process.kill(frozen, 'SIGCONT');

  for (const { first, all } of [reserve, fulfil, remove, rebirth]) {
    const { event, payload } = first;
    expect((await all).map((reply) => ({ event: reply.event, payload: reply.payload }))).toEqual(
      Array.from({ length: COPIES }, () => ({ event, payload })),
    );
  }
  expect(new Set((await stale.all).map(({ event }) => event))).toEqual(new Set(['evt.inventory.conflict']));

  const commits = await readCommits(connection, 'inventory');
  expect(commits.map(({ version, event, commandId }) => [version, event, commandId])).toEqual([
    [1, 'created', 'a'],
    [2, 'reserved', 'b'],
    [3, 'fulfilled', 'd'],
    [4, 'deleted', 'e'],
    [5, 'created', 'f'],
  ]);
}, 120_000);
