// Hunts: an increment that is acknowledged and lost, or done twice.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ContentionClient, Service } from '../src/contender.ts';
import { natsKv } from '../src/contenders/contention/nats-kv.ts';
import { postgresAsync, postgresFsync } from '../src/contenders/contention/postgres.ts';
import { createTestHost, firstStartMs } from './support/test-host.ts';

const host = createTestHost();
afterAll(async () => await host.stop());

describe.each([postgresFsync, postgresAsync, natsKv])('$name', (contender) => {
  let service: Service;
  let clients: ContentionClient[] = [];
  beforeAll(async () => {
    service = await contender.start(host);
    const { address } = service;
    clients = await Promise.all([contender.connect(address), contender.connect(address)]);
  }, firstStartMs);
  afterAll(async () => {
    await Promise.all(clients.map(async (client) => await client.close()));
    await service?.stop();
  });

  test('after 200 increments by two clients at once the counter says 200', async () => {
    const [one, other] = clients as [ContentionClient, ContentionClient];
    const entity = randomUUID();
    await one.create(entity);
    expect(await other.value(entity)).toBe(0);
    const workers = Array.from({ length: 20 }, async (_, worker) => {
      const client = worker % 2 === 0 ? one : other;
      for (let done = 0; done < 10; done++) await client.increment(entity);
    });
    await Promise.all(workers);
    expect(await one.value(entity)).toBe(200);
  });

  test('an increment of what does not exist fails', async () => {
    await expect((clients[0] as ContentionClient).increment(randomUUID())).rejects.toThrow('does not exist');
  });
});
