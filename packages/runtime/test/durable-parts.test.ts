/** Hunts work that is tried for ever, and deliveries that are taken for others. */
import type { Msg } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { expect, test } from 'vitest';
import type { Clock } from '../src/clock.ts';
import { identityOf, readDelivery } from '../src/durable/delivery.ts';
import { DEFAULT_RETRY, nextPause } from '../src/durable/retry-policy.ts';

test('pauses grow to their bound, with jitter, and end with count or age', () => {
  const next = (state: { tries: number; counted: number; ageMs: number }, random = 1): number | undefined =>
    nextPause(DEFAULT_RETRY, { random: () => random } as Clock, state);
  const pauses = Array.from({ length: 14 }, (_, i) => next({ tries: i + 1, counted: i + 1, ageMs: 0 }));
  expect(pauses.slice(0, 4)).toEqual([250, 500, 1_000, 2_000]);
  expect(pauses.at(-1)).toBe(30_000);
  expect(next({ tries: 3, counted: 3, ageMs: 0 }, 0)).toBe(500);
  expect(next({ tries: 15, counted: 15, ageMs: 0 })).toBeUndefined();
  // An outage counts for nothing but the age.
  expect(next({ tries: 1_000, counted: 0, ageMs: 80_000_000 })).toBe(30_000);
  expect(next({ tries: 1_000, counted: 0, ageMs: 86_400_000 })).toBeUndefined();
  // However old it is, it is tried.
  expect(next({ tries: 2, counted: 2, ageMs: 1e12 })).toBe(500);
  expect(next({ tries: 3, counted: 3, ageMs: 1e12 })).toBeUndefined();
});

const delivered = (reply: string, headers?: MsgHdrsImpl): Msg =>
  ({ subject: 's.x', reply, data: new Uint8Array(), headers }) as unknown as Msg;

test('a delivery tells when its message was stored to the very millisecond, as the stream does', () => {
  // The nearest number to each is in another millisecond.
  for (const [nanoseconds, milliseconds] of [
    ['1767268800419999999', 1_767_268_800_419],
    ['1767268800420000005', 1_767_268_800_420],
  ] as const) {
    const read = readDelivery(delivered(`$JS.ACK.S.c.1.7.3.${nanoseconds}.0`));
    expect(read?.message.storedAt).toBe(milliseconds);
  }
});

test('messages of two streams with one sequence are two messages', () => {
  const identities = ['1767268800419999999', '1767268800420000005'].map((nanoseconds) => {
    const read = readDelivery(delivered(`$JS.ACK.domain.account.S.c.2.7.3.${nanoseconds}.4`));
    expect(read).toMatchObject({ number: 3, isRepeated: true, pending: 4, message: { sequence: 7 } });
    return read && identityOf(read.message);
  });
  expect(new Set(identities).size).toBe(2);
});

test('a pin that a sender has written is not the server’s', () => {
  const headers = new MsgHdrsImpl();
  headers.append('Nats-Pin-Id', 'forged');
  headers.append('Nats-Pin-Id', 'own');
  expect(readDelivery(delivered('$JS.ACK.S.c.1.7.3.1767268800419999999.0', headers))?.pin).toBe('own');
});
