// Hunts what three servers do differently: schedules whose leader dies, and cancellations that are told wrongly.
import { startNatsCluster } from '@meshforge/nats-server';
import { commandStream } from '@meshforge/protocol';
import { expect, test, vi } from 'vitest';
import { connectMesh, startAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { streamLeader } from '../support/stream-leader.ts';
import { openConnection } from '../support/wire.ts';
import { tally, tallyContract } from './tally.ts';

test('delayed commands come once although the leader dies, and what was cancelled does not', async () => {
  const cluster = endWithTest(await startNatsCluster());
  const nats = { servers: cluster.url.split(',') };
  endWithTest(await startAgent(tally, { nats, streamReplicas: 3 }));
  const mesh = endWithTest(await connectMesh({ ...nats, timeoutMs: 30_000 }));
  const connection = endWithTest(await openConnection(cluster.url));
  const total = async (entityId: string): Promise<number | undefined> =>
    (await mesh.get(tallyContract, entityId))?.state.n;

  const ids = Array.from({ length: 20 }, (_, i) => `e${i}`);
  await Promise.all(ids.map((entityId) => mesh.request(tallyContract, 'open', { entityId, data: {} })));
  const sent = await Promise.all(
    ids.map((entityId) => mesh.send(tallyContract, 'add', { entityId, data: { by: 1 }, afterMs: 4_000 })),
  );
  const isCancelled = await Promise.all(sent.map(async (one, i) => i % 2 === 0 && (await one.cancel())));
  expect(isCancelled).toEqual(ids.map((_, i) => i % 2 === 0));
  expect(await mesh.cancel(tallyContract, { entityId: 'e0', commandId: 'never sent' })).toBe(false);
  const leader = await streamLeader(cluster, connection, 'tally', commandStream('tally'));
  await leader.kill('SIGKILL');
  await vi.waitFor(async () => expect(await Promise.all(ids.map(total))).toEqual(ids.map((_, i) => i % 2)), {
    timeout: 30_000,
    interval: 250,
  });
  await leader.restart();
  // Neither twice, nor after all.
  await new Promise((resolve) => void setTimeout(resolve, 3_000));
  expect(await Promise.all(ids.map(total))).toEqual(ids.map((_, i) => i % 2));
}, 120_000);

test('a cancellation that meets its time on three servers: cancelled and never done, or not cancelled and done', async () => {
  const cluster = endWithTest(await startNatsCluster());
  const nats = { servers: cluster.url.split(',') };
  endWithTest(await startAgent(tally, { nats, streamReplicas: 3 }));
  const mesh = endWithTest(await connectMesh({ ...nats, timeoutMs: 30_000 }));
  const total = async (entityId: string): Promise<number | undefined> =>
    (await mesh.get(tallyContract, entityId))?.state.n;

  const race = async (i: number): Promise<boolean> => {
    const entityId = `race ${i}`;
    await mesh.request(tallyContract, 'open', { entityId, data: {} });
    const at = new Date(Date.now() + 600);
    const sent = await mesh.send(tallyContract, 'add', { entityId, data: { by: 1 }, at });
    // The server fires some milliseconds after the time.
    await new Promise((resolve) => void setTimeout(resolve, at.getTime() - Date.now() - 5 + (i % 40)));
    return await sent.cancel();
  };
  const cancelled: boolean[] = [];
  for (let i = 0; i < 400; i += 40) {
    cancelled.push(...(await Promise.all(Array.from({ length: 40 }, (_, j) => race(i + j)))));
  }
  await vi.waitFor(
    async () => {
      const done = await Promise.all(cancelled.map((_, i) => total(`race ${i}`)));
      expect(done).toEqual(cancelled.map((was) => (was ? 0 : 1)));
    },
    { timeout: 20_000, interval: 500 },
  );
}, 120_000);
