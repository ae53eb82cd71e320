// Hunts refreshes around the end of a lease that are acknowledged and then wiped: the server commits an expiry without a look at
// what came meanwhile. The same with many leases, and on three servers: lease-ends.long.test.ts.
import { startNatsServer } from '@meshforge/nats-server';
import { expect, test } from 'vitest';
import { startAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { openConnection } from '../support/wire.ts';
import { guarded } from './guarded.ts';
import { LeaseEnds } from './lease-ends.ts';

test('a refresh around the end of a lease is never wiped, and ends by itself later', async () => {
  // As it is configured for real use: the server takes its time for each expiry, long enough to get in between.
  const server = endWithTest(await startNatsServer({ configText: 'jetstream { sync_interval: always }' }));
  const connection = endWithTest(await openConnection(server.url));
  endWithTest(await startAgent(guarded, { nats: { servers: server.url } }));
  const leases = new LeaseEnds(connection, 500);
  await leases.grant(Date.now() + 2_000);
  await leases.untilOneHasEnded();
  await leases.refresh();
  const standing = await leases.expectStanding();
  const voids = await leases.expectEnded();
  console.log(`of 500 refreshed leases, ${standing} stood when they were looked at; ${voids} expiries were void`);
  expect(standing).toBeGreaterThan(0);
}, 120_000);
