// Hunts: a contender that looks fast because it does not do the work, or does it without looking at the version. Every
// server is the real one; a machine that cannot have it fails here with the reason.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Service, UpdateClient } from '../src/contender.ts';
import { natsKv } from '../src/contenders/updates/nats-kv.ts';
import { postgresAsync } from '../src/contenders/updates/postgres-async.ts';
import { postgresFsync } from '../src/contenders/updates/postgres-fsync.ts';
import { redis } from '../src/contenders/updates/redis.ts';
import { restate } from '../src/contenders/updates/restate.ts';
import { createTestHost, firstStartMs } from './support/test-host.ts';

const host = createTestHost();
afterAll(async () => await host.stop());

describe.each([postgresFsync, postgresAsync, redis, restate, natsKv])('$name', (contender) => {
  let service: Service;
  let client: UpdateClient;
  beforeAll(async () => {
    service = await contender.start(host);
    client = await contender.connect(service.address);
  }, firstStartMs);
  afterAll(async () => {
    await client?.close();
    await service?.stop();
  });

  async function createOne(): Promise<{ entity: string; version: number }> {
    const entity = randomUUID();
    const [version = 0] = await client.create([entity]);
    return { entity, version };
  }

  test('an update raises the version by one, and the next goes on from there', async () => {
    const { entity, version } = await createOne();
    expect(await client.update(entity, version)).toBe(version + 1);
    expect(await client.update(entity, version + 1)).toBe(version + 2);
  });

  test('an update of another version is refused and changes nothing', async () => {
    const { entity, version } = await createOne();
    const current = await client.update(entity, version);
    for (const wrong of [version, current + 1])
      await expect(client.update(entity, wrong)).rejects.toThrow(/not at version|wrong last sequence/);
    expect(await client.update(entity, current)).toBe(current + 1);
  });

  test('of many updates of one version at once, one goes through', async () => {
    const { entity, version } = await createOne();
    const updates = Array.from({ length: 20 }, async () => await client.update(entity, version));
    const outcomes = await Promise.allSettled(updates);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('many entities are created at once, and updated at once', async () => {
    const entities = Array.from({ length: 64 }, () => randomUUID());
    const versions = await client.create(entities);
    const updates = entities.map(async (entity, index) => await client.update(entity, versions[index] as number));
    const after = await Promise.all(updates);
    after.forEach((version, index) => expect(version).toBeGreaterThan(versions[index] as number));
  });

  test('says what takes part, in which version, and as which process', async () => {
    expect(Object.keys(service.versions).length).toBeGreaterThan(1);
    for (const version of Object.values(service.versions)) expect(version).toMatch(/^\d+\.\d+/);
    for (const pid of service.pids()) expect(process.kill(pid, 0)).toBe(true);
  });
});
