// Hunts: what a crash can lose or double. Agents and the server are killed with SIGKILL in the middle of a load; then
// every answer that a client got is held against the stream.
import { startNatsServer } from '@meshforge/nats-server';
import { expect, test } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { readCommits } from '../../../packages/runtime/test/support/stream-witness.ts';
import { openConnection } from '../../../packages/runtime/test/support/wire.ts';
import { startAgentProcesses } from './support/agent-processes.ts';
import { expectTrue, Load } from './support/load.ts';
import { startReplicas } from './support/replicas.ts';

test('I1, I2: agents killed in mid-load lose no acknowledged command and leave no gap', async () => {
  const server = endWithTest(await startNatsServer());
  const processes = endWithTest(await startAgentProcesses(server.url, 3));
  const { agents } = processes;
  const load = await Load.start(server.url);
  for (let round = 0; round < 6; round++) {
    await load.progress(100);
    const victim = agents.at(round % agents.length);
    await victim?.kill();
    // The others carry on meanwhile.
    await load.progress(100);
    await victim?.restart();
  }
  await processes.restartAll();
  await load.progress(100);
  await load.stop();

  const connection = endWithTest(await openConnection(server.url));
  const commits = await readCommits(connection, 'inventory');
  expectTrue(load, commits);
  expect(commits.length).toBeGreaterThan(500);
}, 180_000);

test('I1, I2: a server killed in mid-load loses no acknowledged command and leaves no gap', async () => {
  const server = endWithTest(await startNatsServer());
  // Nothing here may have to wait for a timeout: whatever a broken connection swallowed is known to be lost.
  const never = 600_000;
  endWithTest(await startReplicas(server.url, 3, { storeTimeoutMs: never }));
  const load = await Load.start(server.url, never);
  for (let round = 0; round < 6; round++) {
    await load.progress(200);
    await server.kill('SIGKILL');
    await server.restart();
  }
  await load.progress(200);
  await load.stop();

  const connection = endWithTest(await openConnection(server.url));
  const commits = await readCommits(connection, 'inventory');
  expectTrue(load, commits);
  expect(commits.length).toBeGreaterThan(700);
}, 180_000);
