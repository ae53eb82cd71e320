// Hunts: answers that depend on what a cache happens to hold, and a cache that outgrows its bounds.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent, type AgentOptions, type RunningAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { expectEachOnce, expectGapless, readCommits } from '../support/stream-witness.ts';
import { openConnection, sendCommand, type NatsConnection, type RawReply } from '../support/wire.ts';
import { tally } from './tally.ts';

const ENTITIES = 20;
const ROUNDS = 10;

let server: NatsServer;
let connection: NatsConnection;

beforeAll(async () => {
  server = await startNatsServer();
  connection = await openConnection(server.url);
});

afterAll(async () => {
  await connection?.close();
  await server?.stop();
});

async function start(cache: AgentOptions['cache']): Promise<RunningAgent> {
  return endWithTest(await startAgent(tally, { nats: { servers: server.url }, ...(cache && { cache }) }));
}

const send = (action: string, command: Parameters<typeof sendCommand>[3]): Promise<RawReply> =>
  sendCommand(connection, 'tally', action, command);

test.each<{ name: string; cache: NonNullable<AgentOptions['cache']>; most: { entities: number; bytes: number } }>([
  { name: 'two entities', cache: { entities: 2 }, most: { entities: 2, bytes: 64 * 1024 * 1024 } },
  { name: 'one entity', cache: { entities: 1 }, most: { entities: 1, bytes: 64 * 1024 * 1024 } },
  { name: 'nothing', cache: { entities: 0 }, most: { entities: 0, bytes: 0 } },
  { name: '3,000 bytes', cache: { bytes: 3_000 }, most: { entities: 30, bytes: 3_000 } },
  { name: 'no bytes', cache: { bytes: 0 }, most: { entities: 0, bytes: 0 } },
])(
  'I1, I3, I5: an agent whose cache holds $name decides as any other, within those bounds',
  async ({ name, cache, most }) => {
    const agent = await start(cache);
    const ids = Array.from({ length: ENTITIES }, (_, index) => `${name} ${index}`);
    const expectBounded = (): void => {
      const { entities, bytes } = agent.stats().cache;
      expect(entities).toBeLessThanOrEqual(most.entities);
      expect(bytes).toBeLessThanOrEqual(most.bytes);
      expect(bytes).toBeGreaterThanOrEqual(0);
      expect(entities === 0).toBe(bytes === 0);
    };

    await Promise.all(ids.map((entityId) => send('open', { entityId, expectedVersion: 0, data: {} })));
    for (let round = 1; round <= ROUNDS; round++) {
      const commandId = (entityId: string): string => `${entityId}/${round}`;
      const command = (entityId: string) => ({
        entityId,
        expectedVersion: round,
        data: { by: 1 },
        commandId: commandId(entityId),
      });
      const replies = await Promise.all(
        ids.flatMap((entityId) => [
          send('add', command(entityId)),
          // The same again, one with a version that has passed, and one with a version that is to come.
          send('add', command(entityId)),
          send('add', { entityId, expectedVersion: round - 1, data: { by: 100 } }),
          send('add', { entityId, expectedVersion: round + 2, data: { by: 100 } }),
        ]),
      );
      for (const [index, entityId] of ids.entries()) {
        const [first, second, passed, future] = replies.slice(index * 4, index * 4 + 4);
        expect(first).toMatchObject({
          event: 'evt.tally.added',
          payload: { entity_version: round + 1, state: { n: round } },
        });
        expect({ ...second?.payload }).toEqual(first?.payload);
        expect([first?.replayed, second?.replayed]).toEqual([false, true]);
        for (const refused of [passed, future]) {
          expect(refused).toMatchObject({
            event: 'evt.tally.conflict',
            payload: { entity_id: entityId, current_version: round + 1 },
          });
        }
      }
      expectBounded();
    }
    await Promise.all(ids.map((entityId) => send('close', { entityId, expectedVersion: ROUNDS + 1 })));
    expectBounded();

    const commits = (await readCommits(connection, 'tally')).filter(({ entityId }) => ids.includes(entityId));
    expect(commits).toHaveLength(ENTITIES * (ROUNDS + 2));
    expectGapless(commits);
    expectEachOnce(commits);
  },
);

test('a cache holds what was used last, and counts it', async () => {
  const agent = await start({ entities: 3 });
  for (const entityId of ['a', 'b', 'c', 'd', 'e']) await send('open', { entityId, data: {} });
  expect(agent.stats().cache.entities).toBe(3);
  const { bytes } = agent.stats().cache;
  expect(bytes).toBeGreaterThan(3 * 20);
  for (let i = 0; i < 100; i++) await send('add', { entityId: 'e', data: { by: 1 } });
  expect(agent.stats().cache.entities).toBe(3);
});

test('an agent that cannot keep a cache of less than nothing does not start', async () => {
  await expect(start({ entities: -1 })).rejects.toMatchObject({ code: 'invalid_options' });
  await expect(start({ bytes: 0.5 })).rejects.toMatchObject({ code: 'invalid_options' });
});
