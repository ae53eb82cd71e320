// Hunts: what the loss of a stream's leader can lose or double. The server that leads is killed with SIGKILL in the
// middle of a load, again and again; then every answer that a client got is held against the stream.
import { startNatsCluster } from '@meshforge/nats-server';
import { expect, test } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { streamLeader } from '../../../packages/runtime/test/support/stream-leader.ts';
import { readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { expectTrue, Load } from './support/load.ts';
import { startReplicas } from './support/replicas.ts';

test('I1, I2: a cluster whose stream leader is killed in mid-load loses no acknowledged command and leaves no gap', async () => {
  const cluster = endWithTest(await startNatsCluster());
  endWithTest(await startReplicas(cluster.url, 3, { streamReplicas: 3, storeTimeoutMs: 1_000 }));
  const connection = endWithTest(await openConnection(cluster.url));
  const load = await Load.start(cluster.url);
  for (let round = 0; round < 3; round++) {
    await load.progress(200);
    const leader = await streamLeader(cluster, connection, 'inventory');
    await leader.kill('SIGKILL');
    // The survivors elect another one and carry on.
    await load.progress(200);
    await leader.restart();
    await cluster.ready();
  }
  await load.progress(200);
  await load.stop();

  const commits = await readCommits(connection, 'inventory');
  expectTrue(load, commits);
  expect(commits.length).toBeGreaterThan(500);
}, 240_000);
