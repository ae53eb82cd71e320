/** Hunts a server that is dialled without a pause, or not at all. */
import type { Server } from '@nats-io/nats-core';
import { expect, test } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { redialing } from '../src/nats/redialing.ts';

const servers = ['a:1', 'b:1'].map((listen) => ({ listen }) as Server);

test('a server is dialled at once, and again only after a pause, whatever the wall clock says', () => {
  let now = 0;
  const dialling = redialing({ ...systemClock, monotonic: () => now, random: () => 0.5 });
  const delayOf = (server: Server | undefined): number => {
    const chosen = dialling.reconnectToServer?.(server === undefined ? [] : [server], null);
    return chosen !== null && chosen !== undefined && 'delay' in chosen ? chosen.delay : Number.NaN;
  };
  const [a, b] = servers;
  expect(delayOf(a)).toBe(0);
  expect(delayOf(b)).toBe(0);
  now = 100;
  expect(delayOf(a)).toBe(200);
  // That dial was at 300.
  now = 301;
  expect(delayOf(a)).toBe(299);
  now = 10_000;
  expect(delayOf(a)).toBe(0);
  expect(delayOf(undefined)).toBeNaN();
  // When a server was dialled last is told by the wall clock, which may have been set back since.
  const wait = dialling.reconnectDelayHandler?.() ?? 0;
  expect(Date.now() + 3_600_000 + wait).toBeLessThanOrEqual(Date.now());
});
