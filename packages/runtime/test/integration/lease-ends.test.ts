// Hunts refreshes around the end of a lease that are acknowledged and then wiped, and ends of leases that nobody can take for the
// same: the server commits an expiry without a look at what came meanwhile. The same with many leases, and on three servers: lease-ends.long.test.ts.
import { startNatsServer } from '@meshforge/nats-server';
import { encode, entitySubject, HEADERS, type Slot } from '@meshforge/protocol';
import { headers as newHeaders, type MsgHdrs } from '@nats-io/nats-core';
import { expect, test } from 'vitest';
import { startAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { readCommits } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { openConnection, sendCommand, sendQuery, type NatsConnection } from '../support/wire.ts';
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

test('a lease that the server has lost is ended by the agent in its name, and a late expiry of the server is void', async () => {
  const server = endWithTest(await startNatsServer());
  const connection = endWithTest(await openConnection(server.url));
  endWithTest(await startAgent(guarded, { nats: { servers: server.url } }));
  const lapsed: { version: number; headers: Record<string, string> }[] = [];
  connection.subscribe('evt.guarded.lapsed', {
    callback: (_error, { data, headers }) => {
      const { entity_version: version } = JSON.parse(new TextDecoder().decode(data)) as { entity_version: number };
      lapsed.push({ version, headers: meshHeaders(headers) });
    },
  });
  // The log says that the lease has ended, and the server believes that it ends in a day.
  const entityId = 'lost';
  const [ended, inADay] = [Date.now() - 3_000, new Date(Date.now() + 86_400_000).toISOString()];
  const lease = {
    'Nats-Schedule': `@at ${inADay}`,
    'Nats-Schedule-Target': entitySubject('guarded', entityId, 'x', 'lapsed'),
    [HEADERS.commandId]: 'of the holder',
    [HEADERS.correlationId]: 'correlation',
    [HEADERS.causationId]: 'causation',
    [HEADERS.traceparent]: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    [HEADERS.body]: 'body',
    [HEADERS.recent]: '0.0',
  };
  const kept = { [HEADERS.unchanged]: 'true', [HEADERS.lease]: `kept 1 ${ended}`, [HEADERS.recent]: '0.0' };
  const store = (slot: Slot, event: string, lines: Record<string, string>): Promise<void> =>
    storeByHand(connection, entitySubject('guarded', entityId, slot, event), 1, lines);
  await store(1, 'kept', lease);
  await store(0, 'remarked', kept);

  const added = await sendCommand(connection, 'guarded', 'add', { entityId, data: { by: 1 } });
  expect(added.payload).toMatchObject({ entity_version: 2, state: { n: 4, kept: false } });
  await until('the end of the lease is announced', () => lapsed.length > 0);
  const { 'Nats-Schedule': _at, 'Nats-Schedule-Target': _target, ...own } = lease;
  expect(lapsed).toEqual([{ version: 1, headers: own }]);
  // Its schedule went with it.
  expect((await readCommits(connection, 'guarded')).map(({ event }) => event)).toEqual(['remarked', 'lapsed', 'added']);

  const again = await sendCommand(connection, 'guarded', 'keep', { entityId, data: { ms: 60_000 } });
  const scheduler = entitySubject('guarded', entityId, 1, 'kept');
  await store('x', 'lapsed', { ...own, 'Nats-Scheduler': scheduler, 'Nats-Schedule-Next': 'purge' });
  await until('the late one is announced too', () => lapsed.length > 1);
  expect(lapsed[1]).toEqual(lapsed[0]);
  const { body } = await sendQuery(connection, 'guarded', 'get', { entity_id: entityId });
  expect(body).toEqual(again.payload);
  const next = await sendCommand(connection, 'guarded', 'remark', { entityId, expectedVersion: 3 });
  expect(next.payload).toEqual(again.payload);
});

test('an expiry that a killed server fires late does not take the version of a later lease away', async () => {
  const server = endWithTest(await startNatsServer());
  const connection = endWithTest(await openConnection(server.url));
  endWithTest(await startAgent(guarded, { nats: { servers: server.url } }));
  const lapsed: number[] = [];
  connection.subscribe('evt.guarded.lapsed', {
    callback: (_error, { data }) => {
      lapsed.push((JSON.parse(new TextDecoder().decode(data)) as { entity_version: number }).entity_version);
    },
  });
  // Killed as it stored version 2, the server has kept the schedule of version 1, which is due behind that of version 3.
  const subject = (slot: Slot, event: string): string => entitySubject('guarded', 'killed', slot, event);
  const now = Date.now();
  const scheduled = (afterMs: number): Record<string, string> => ({
    'Nats-Schedule': `@at ${new Date(now + afterMs).toISOString()}`,
    'Nats-Schedule-Target': subject('x', 'lapsed'),
    [HEADERS.recent]: '0.0',
  });
  await storeByHand(connection, subject(1, 'kept'), 1, scheduled(2_500));
  await storeByHand(connection, subject(0, 'added'), 2, { [HEADERS.recent]: '0.0' });
  await storeByHand(connection, subject(3, 'kept'), 3, scheduled(1_500));
  await until('both have fired', () => lapsed.length === 2);
  expect(lapsed).toEqual([3, 1]);
  const { body } = await sendQuery(connection, 'guarded', 'get', { entity_id: 'killed' });
  expect(body).toMatchObject({ entity_version: 3, state: { kept: false } });
  const next = await sendCommand(connection, 'guarded', 'add', { entityId: 'killed', data: { by: 1 } });
  expect(next.payload).toMatchObject({ entity_version: 4 });
});

async function storeByHand(
  connection: NatsConnection,
  subject: string,
  version: number,
  lines: Record<string, string>,
): Promise<void> {
  const headers = newHeaders();
  for (const [name, value] of Object.entries(lines)) headers.set(name, value);
  const body = encode({ entity_id: subject.split('.')[2], entity_version: version, state: { n: 3, kept: true } });
  const answer = await connection.request(subject, body, { headers, timeout: 30_000 });
  expect(answer.json()).not.toHaveProperty('error');
}

/** What of its headers is MeshForge's. */
function meshHeaders(headers: MsgHdrs | undefined): Record<string, string> {
  const own = headers?.keys().filter((name) => !name.startsWith('Nats-')) ?? [];
  return Object.fromEntries(own.map((name) => [name, headers?.get(name) ?? '']));
}
