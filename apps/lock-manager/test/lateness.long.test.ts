/** Hunts expiries that come too early, and tells how late they are: over 1,000 leases, idle and under load. */
import { expect, test, vi } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { startMesh } from './support/lock-manager.ts';
import { acquire, endOf, followEvents, lease, release } from './support/locks.ts';
import { takePulse } from './support/pulse.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const LEASES = 1_000;
/** No promise: beyond what the machine takes, it only tells a schedule that works from one that does not. */
const HOPELESS_MS = 10_000;

test.each([
  ['idle', 0],
  ['under load', 32],
])('1,000 leases end on time, %s', async (name, loaders) => {
  const mesh = endWithTest(await startMesh(3));
  const nats = mesh.connection;
  const announced = await followEvents(nats);
  const pulse = endWithTest(takePulse(nats));
  const end = { isHere: false };
  const load = Array.from({ length: loaders }, async (_, i) => {
    let pairs = 0;
    for (; !end.isHere; pairs++) {
      lease(await acquire(nats, `load-${i}`, 'ann', { ttl: 60_000 }));
      await release(nats, `load-${i}`, 'ann');
    }
    return pairs;
  });
  const began = performance.now();
  const ends = new Map<string, number>();
  // Spread, as leases of people who come and go are.
  await Promise.all(
    Array.from({ length: LEASES }, async (_, i) => {
      const granted = lease(await acquire(nats, `${name}-${i}`, 'ann', { ttl: 1_500 + 2 * i }));
      ends.set(`${name}-${i}`, endOf(granted));
    }),
  );
  const expiries = (): ReturnType<typeof announced.changes> =>
    announced.changes().filter(({ event }) => event === 'expired');
  await until('all have ended', () => announced.changes().length >= LEASES && expiries().length === LEASES);
  end.isHere = true;
  const pairs = (await Promise.all(load)).reduce((sum, each) => sum + each, 0);
  const late = expiries().map(({ payload, time }) => time - (ends.get(payload.entity_id) ?? Number.NaN));
  late.sort((a, b) => a - b);
  const at = (share: number): number => late[Math.min(late.length - 1, Math.floor(late.length * share))] as number;
  const rate = Math.round(pairs / ((performance.now() - began) / 1_000));
  console.log(`${name} (${rate} pairs/s): p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
  expect(at(0)).toBeGreaterThanOrEqual(0);
  expect(at(1)).toBeLessThan(pulse.beyond(HOPELESS_MS));
});
