/** Leases end by themselves, on time, and are seen to end. */
import { LOCK_LIMITS } from '@meshforge/protocol';
import type { CheckContext } from '../check-context.ts';
import { CheckFailed, fact } from '../check.ts';
import type { SeenEvent } from '../event-watch.ts';
import { expectDenied, expectLock, expectRejected } from '../expect-outcome.ts';
import { expectEqual, expectThat } from '../expect.ts';
import { acquireLock } from './steps.ts';

/** How far two clocks of one mesh may differ where the end of a lease is compared with the time of this machine. */
const clockToleranceMs = 50;

export const lockLeaseChecks = [
  fact('a lease of 500 ms expires by itself, not early, and is announced on evt.lock.expired', async (context) => {
    const resource = context.newResource();
    const startedAtMs = performance.now();
    const lease = await acquireLock(context, resource, 'ann', LOCK_LIMITS.minTtlMs);
    const event = await expired(context, resource);
    const elapsedMs = event.arrivedAtMs - startedAtMs;
    expectThat('ms until evt.lock.expired', elapsedMs >= 500 - clockToleranceMs, 'at least 500', Math.round(elapsedMs));
    const committedAt = Date.parse(event.header('Nats-Time-Stamp') ?? '');
    expectThat(
      'Nats-Time-Stamp of the expiry',
      committedAt >= Date.parse(lease.state.expires_at),
      `not before ${lease.state.expires_at}`,
      event.header('Nats-Time-Stamp'),
    );
    expectEqual('payload of the expiry', event.payload, lease.reply.payload);
  }),

  fact('an expired lock can be taken by another, with a higher fencing_token', async (context) => {
    const resource = context.newResource();
    const first = await acquireLock(context, resource, 'ann', LOCK_LIMITS.minTtlMs);
    await expired(context, resource);
    const second = await acquireLock(context, resource, 'bob');
    const { fencing_token: token } = second.state;
    expectThat('fencing_token', token > first.state.fencing_token, `more than ${first.state.fencing_token}`, token);
    expectDenied(await context.lock.send('refresh', resource, { owner_id: 'ann' }), 'not_holder');
  }),

  fact('an expired lock is held by nobody: its last holder cannot refresh it', async (context) => {
    const resource = context.newResource();
    await acquireLock(context, resource, 'ann', LOCK_LIMITS.minTtlMs);
    await expired(context, resource);
    expectDenied(await context.lock.send('refresh', resource, { owner_id: 'ann' }), 'not_held');
  }),

  fact('a refreshed lease does not expire at its first end, a released one never', async (context) => {
    const kept = context.newResource('kept');
    const given = context.newResource('given-back');
    await acquireLock(context, kept, 'ann', 600);
    await acquireLock(context, given, 'ann', 600);
    expectLock(await context.lock.send('refresh', kept, { owner_id: 'ann', ttl_ms: 30_000 }), 'acquired');
    expectLock(await context.lock.send('release', given, { owner_id: 'ann' }), 'released');
    await context.sleep(900);
    for (const resource of [kept, given]) expectEqual(`expiries of ${resource}`, expiries(context, resource).length, 0);
    expectDenied(await context.lock.send('acquire', kept, { owner_id: 'bob' }), 'held');
  }),

  fact('a lease can be refreshed in its last moments, and then stands', async (context) => {
    // A machine that stalls for longer than what is left finds the lease ended; the next try gets it.
    for (let attempt = 1; attempt <= 5; attempt++) {
      const resource = context.newResource(`late-${attempt}`);
      await acquireLock(context, resource, 'ann', 600);
      await context.sleep(500);
      const reply = await context.lock.send('refresh', resource, { owner_id: 'ann', ttl_ms: 30_000 });
      if (reply.payload['code'] === 'not_held') continue;
      expectLock(reply, 'acquired');
      await context.sleep(300);
      expectDenied(await context.lock.send('acquire', resource, { owner_id: 'bob' }), 'held');
      return;
    }
    throw new CheckFailed('five tries to refresh in the last 100 ms of a lease all came after its end');
  }),

  fact('a ttl_ms out of bounds is rejected with invalid_command', async (context) => {
    const resource = context.newResource();
    for (const ttl of [LOCK_LIMITS.minTtlMs - 1, LOCK_LIMITS.maxTtlMs + 1, 0, 1_000.5, '30s']) {
      const reply = await context.lock.send('acquire', resource, { owner_id: 'ann', ttl_ms: ttl });
      expectEqual(
        'code for a ttl_ms that no lease has',
        expectRejected(reply, 'invalid_command').code,
        'invalid_command',
      );
      expectEqual('the event in the reply', reply.event, 'evt.lock.rejected');
    }
  }),

  fact(
    'a lock acquire without owner_id or with wait_ms out of bounds is rejected with invalid_command',
    async (context) => {
      const resource = context.newResource();
      expectRejected(await context.lock.send('acquire', resource, {}), 'invalid_command');
      for (const wait of [-1, LOCK_LIMITS.maxWaitMs + 1]) {
        const reply = await context.lock.send('acquire', resource, { owner_id: 'ann', wait_ms: wait });
        expectRejected(reply, 'invalid_command');
      }
    },
  ),
];

function isExpiry(event: SeenEvent, resource: string): boolean {
  return event.subject === 'evt.lock.expired' && event.payload['entity_id'] === resource;
}

function expiries(context: CheckContext, resource: string): SeenEvent[] {
  return context.events.seen((event) => isExpiry(event, resource));
}

async function expired(context: CheckContext, resource: string): Promise<SeenEvent> {
  const patienceMs = LOCK_LIMITS.minTtlMs + context.patienceMs;
  return await context.events.next('evt.lock.expired', (event) => isExpiry(event, resource), patienceMs);
}
