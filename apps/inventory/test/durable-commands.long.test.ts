/**
 * Hunts durable commands that are lost, executed twice or out of order, and dead letters that are lost: 10,000 commands, and 200
 * that nobody can execute, while replicas die every second
 * (SIGKILL), and the server dies twice; on one server, and on three whose leader is killed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsCluster, startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { commandStream, inventoryContract } from '@meshforge/protocol';
import { connectMesh } from '@meshforge/runtime';
import { expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { streamLeader } from '../../../packages/runtime/test/support/stream-leader.ts';
import { byEntity, expectGapless, readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { startAgentProcesses } from './support/agent-processes.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 });

const ITEMS = 100;
const EACH = 100;
/** Among the commands on each item, how many are malformed. */
const MALFORMED = 2;
/** A replica dies every second for so long, in seconds; the server after a third and after two thirds of it. */
const DYING_S = 12;

test.each([1, 3] as const)('10,000 durable commands, each once and in order, on %i servers', async (servers) => {
  const one = servers === 1 ? endWithTest(await startNatsServer()) : undefined;
  const cluster = servers === 3 ? endWithTest(await startNatsCluster()) : undefined;
  const url = one?.url ?? cluster?.url ?? '';
  const { agents } = endWithTest(await startAgentProcesses(url, 3, servers));
  const mesh = endWithTest(await connectMesh({ servers: url.split(','), timeoutMs: 60_000 }));
  const nats = endWithTest(await openConnection(url));

  const items = Array.from({ length: ITEMS }, (_, i) => `item ${i}`);
  await Promise.all(
    items.map((entityId) => mesh.request(inventoryContract, 'create', { entityId, data: { name: entityId } })),
  );
  const sending = Promise.all(
    items.map(async (entityId) => {
      for (let i = 1; i <= EACH; i++) {
        const commandId = `${entityId} ${i}`;
        await mesh.send(inventoryContract, 'adjust', { entityId, commandId, data: { delta: i } });
        if (i % (EACH / MALFORMED) === 0) {
          await mesh.send(inventoryContract, 'adjust', { entityId, commandId: `bad ${commandId}`, data: { delta: 0 } });
        }
        // So that there is something to do all the time.
        await sleep((DYING_S * 1_000) / EACH);
      }
    }),
  );

  const victim = async (): Promise<NatsServer | undefined> =>
    cluster === undefined ? one : await streamLeader(cluster, nats, 'inventory', commandStream('inventory'));
  const serving = [...agents];
  const restarts: Promise<unknown>[] = [];
  for (let second = 1; second <= DYING_S; second++) {
    await sleep(1_000);
    const agent = serving.shift();
    await agent?.kill();
    if (agent !== undefined) restarts.push(agent.restart().then(() => serving.push(agent)));
    if (second === DYING_S / 3 || second === (2 * DYING_S) / 3) {
      // A replica that starts while nobody answers is given up by the test, not by itself.
      await Promise.all(restarts);
      const server = await victim();
      await server?.kill('SIGKILL');
      await server?.restart();
    }
  }
  await Promise.all([...restarts, sending]);

  const info = async (): Promise<{ messages: number }> =>
    (await nats.request(`$JS.API.STREAM.INFO.${commandStream('inventory')}`)).json<{ state: { messages: number } }>()
      .state;
  await vi.waitFor(async () => expect((await info()).messages).toBe(0), { timeout: 60_000, interval: 250 });
  const { letters } = await mesh.deadLetters(inventoryContract).list({ limit: 1_000 });
  const malformed = items.flatMap((entityId) => [50, 100].map((i) => `bad ${entityId} ${i}`));
  expect(letters.map(({ command_id: id }) => id).toSorted()).toEqual(malformed.toSorted());
  expect(new Set(letters.map(({ code }) => code))).toEqual(new Set(['invalid_command']));
  const commits = await readCommits(nats, 'inventory');
  expectGapless(commits);
  const expected = Array.from({ length: EACH }, (_, i) => i + 1);
  for (const [entityId, own] of byEntity(commits)) {
    const adjustments = own.filter(({ event }) => event === 'adjusted');
    expect(adjustments.map(({ commandId }) => commandId)).toEqual(expected.map((i) => `${entityId} ${i}`));
    expect(own.at(-1)?.state?.['quantity']).toBe((EACH * (EACH + 1)) / 2);
  }
  expect(byEntity(commits).size).toBe(ITEMS);
});
