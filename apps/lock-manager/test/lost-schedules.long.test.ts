/**
 * Hunts locks that stay held for ever because the server lost the schedule of a lease's end. A schedule is lost here by an operator who takes its message out, or who has put one back without it.
 */
import { encode, entitySubject, HEADERS } from '@meshforge/protocol';
import { expect, test, vi } from 'vitest';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { headers as newHeaders } from '../../../packages/runtime/test/support/wire.ts';
import { startMesh } from './support/lock-manager.ts';
import {
  acquire,
  endOf,
  isLease,
  lease,
  LOCK_STREAM,
  LOCKS,
  viewLock,
  type Connection,
  type LeasePayload,
} from './support/locks.ts';
import { queued, startWaiting } from './support/waiting.ts';

// Tests that run side by side: each ends what it began by its own context, for the hook of `vitest` takes whichever test it finds.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const LEAST_MS = 2_000;
const MOST_MS = 20_000;

/** Takes the message with the schedule out, as an operator can. */
async function loseSchedule(nats: Connection, resource: string): Promise<void> {
  const filter = entitySubject(LOCKS, resource, 1, 'acquired');
  const answer = await nats.request(`$JS.API.STREAM.PURGE.${LOCK_STREAM}`, JSON.stringify({ filter }));
  expect(answer.json()).toMatchObject({ success: true, purged: 1 });
}

/** A log that says "leased until then", and a schedule that is due in a day: nobody waits, so only the sweep can find it. */
async function craftLost(nats: Connection, resource: string, endsAt: number): Promise<void> {
  const [acquired_at, expires_at] = [new Date(endsAt - 1_000), new Date(endsAt)].map((time) => time.toISOString());
  const state = { owner_id: 'holder', fencing_token: 1, acquired_at, expires_at };
  const inADay = new Date(endsAt + 86_400_000).toISOString();
  const target = entitySubject(LOCKS, resource, 'x', 'expired');
  for (const [event, headers] of [
    ['acquired', { 'Nats-Schedule': `@at ${inADay}`, 'Nats-Schedule-Target': target }],
    ['left', { [HEADERS.unchanged]: 'true', [HEADERS.lease]: `acquired 1 ${endsAt}` }],
  ] as const) {
    const lines = newHeaders();
    lines.set(HEADERS.recent, '0.0');
    for (const [name, value] of Object.entries(headers)) lines.set(name, value);
    const body = encode({ entity_id: resource, entity_version: 1, state, data: { owner_id: 'nobody', waiters: 0 } });
    const answer = await nats.request(entitySubject(LOCKS, resource, event === 'acquired' ? 1 : 0, event), body, {
      headers: lines,
      timeout: 10_000,
    });
    expect(answer.json()).toHaveProperty('seq');
  }
}

test.concurrent('a lease whose schedule is lost is ended by a lock manager some seconds after its end, with or without waiters', async ({
  onTestFinished,
}) => {
  const mesh = await startMesh(2);
  onTestFinished(() => mesh.stop());
  const nats = mesh.connection;
  const expired = new Map<string, { payload: LeasePayload; time: number }>();
  nats.subscribe('evt.lock.expired', {
    callback: (_error, message) => {
      const payload = message.json<LeasePayload>();
      expired.set(payload.entity_id, { payload, time: Date.parse(message.headers?.get('Nats-Time-Stamp') ?? '') });
    },
  });
  const held = lease(await acquire(nats, 'waited', 'holder', { ttl: 2_000 }));
  const waiter = startWaiting(nats, 'waited', 'ann', { waitMs: 60_000 });
  await queued(nats, 'waited', 1);
  await loseSchedule(nats, 'waited');
  const due = endOf(held);
  await craftLost(nats, 'unwatched', due);

  const granted = lease(await waiter.answer);
  expect(granted.state).toMatchObject({ owner_id: 'ann' });
  expect(granted.state.fencing_token).toBeGreaterThan(held.state.fencing_token);
  for (const resource of ['waited', 'unwatched']) {
    const { payload, time } = await until(`${resource} has ended`, () => expired.get(resource));
    console.log(`${resource}: ended ${time - due} ms after its end`);
    expect(payload).toMatchObject({ entity_version: 1, state: { owner_id: 'holder' } });
    expect(time - due).toBeGreaterThanOrEqual(LEAST_MS);
    expect(time - due).toBeLessThan(MOST_MS);
  }
  expect((await viewLock(nats, 'unwatched')).state.owner_id).toBeNull();
  expect(isLease(await acquire(nats, 'unwatched', 'bob'))).toBe(true);
});
