// Hunts the same as lease-ends.test.ts: with a thousand leases due at once, and on three servers, whose leader takes commits in
// while it cannot store them.
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsCluster, startNatsServer } from '@meshforge/nats-server';
import { expect, test } from 'vitest';
import { startAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { streamLeader } from '../support/stream-leader.ts';
import { openConnection } from '../support/wire.ts';
import { guarded } from './guarded.ts';
import { LeaseEnds } from './lease-ends.ts';

const SYNCED = { configText: 'jetstream { sync_interval: always }' };

test('of a thousand leases due at once, no refresh is wiped', async () => {
  const server = endWithTest(await startNatsServer(SYNCED));
  const connection = endWithTest(await openConnection(server.url));
  endWithTest(await startAgent(guarded, { nats: { servers: server.url } }));
  const leases = new LeaseEnds(connection, 1_000);
  await leases.grant(Date.now() + 5_000);
  await leases.untilOneHasEnded();
  await leases.refresh();
  const standing = await leases.expectStanding();
  console.log(`${standing} stood when they were looked at; ${await leases.expectEnded()} expiries were void`);
  expect(standing).toBeGreaterThan(0);
}, 240_000);

test.each([-300, 0])(
  'on three servers whose followers are stopped for 1.5 s, from %i ms after the end of 300 leases on, no refresh is wiped',
  async (afterMs) => {
    const cluster = endWithTest(await startNatsCluster());
    const connection = endWithTest(await openConnection(cluster.url));
    endWithTest(await startAgent(guarded, { nats: { servers: cluster.url }, streamReplicas: 3 }));
    const leader = await streamLeader(cluster, connection, 'guarded');
    const followers = cluster.nodes.filter((node) => node !== leader);
    const own = endWithTest(await openConnection(leader.url));
    const leases = new LeaseEnds(own, 300);
    const due = Date.now() + 8_000;
    await leases.grant(due);
    await sleep(due + afterMs - Date.now());
    for (const follower of followers) await follower.kill('SIGSTOP');
    const refreshed = leases.refresh();
    await sleep(1_500);
    for (const follower of followers) await follower.kill('SIGCONT');
    await refreshed;
    const standing = await leases.expectStanding();
    console.log(`${standing} stood when they were looked at; ${await leases.expectEnded()} expiries were void`);
  },
  240_000,
);
