import { isTransient } from '../../../src/nats/jetstream-errors.ts';
import { JetStreamApiError } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { ServerClock } from '../../../src/nats/server-clock.ts';
import { requireServer } from '../../../src/nats/server-requirements.ts';
import { MeshError } from '../../../src/errors.ts';
import { textOf } from '../readable.ts';
import { must, type Target } from '../target.ts';

/** What a server says about itself: its version, its time, its errors. */
export const servers: Target = {
  name: 'servers',
  seeds: [
    '2.15.1',
    '2.14.0-RC.1',
    'v2.10.29',
    '2026-01-31T12:00:00.123456789Z',
    '{"code":503,"err_code":10008,"description":"x"}',
    '999999999999.1.2',
  ],
  words: ['2.', '.0', '-beta', 'T', 'Z', '"err_code":'],
  async run(input) {
    const text = textOf(input);
    await requireVersion(text);

    let monotonic = 0;
    const clock = { wall: () => 1_000, monotonic: () => monotonic++, sleep: () => Promise.resolve(), random: () => 0 };
    const serverClock = new ServerClock(clock, () => Promise.resolve(text));
    await serverClock.measure();
    must(Number.isSafeInteger(serverClock.now()), 'the time is none', serverClock.now());

    try {
      isTransient(new JetStreamApiError(JSON.parse(text) as ConstructorParameters<typeof JetStreamApiError>[0]));
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    }
  },
};

async function requireVersion(version: string): Promise<void> {
  const connection = { info: { version }, options: {}, request: () => Promise.reject(new Error('nobody')) };
  let minutes = 0;
  const clock = { wall: () => 0, monotonic: () => 60_000 * minutes++, sleep: () => Promise.resolve(), random: () => 0 };
  try {
    await requireServer(connection as unknown as NatsConnection, clock);
  } catch (error) {
    if (error instanceof MeshError && error.code === 'server_unsuitable') return;
    throw error;
  }
  must(false, 'a server without JetStream was taken');
}
