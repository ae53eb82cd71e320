// Hunts: a job that is lost, one that counts twice, an outcome that is told before its job is done, and one that nobody is told.
import { randomUUID } from 'node:crypto';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { DurableClient, Service } from '../src/contender.ts';
import { bullmq, bullmqFsync } from '../src/contenders/durable/bullmq.ts';
import { jetstream, jetstreamFloor } from '../src/contenders/durable/jetstream.ts';
import { meshforge } from '../src/contenders/durable/meshforge.ts';
import { restate } from '../src/contenders/durable/restate.ts';
import { leanPublisher } from '../src/contenders/lean-publisher.ts';
import { expecting } from '../src/contenders/updates/floor.ts';
import { jetstreamQueue } from '../src/services/jetstream-queue.ts';
import { createTestHost, firstStartMs } from './support/test-host.ts';

const host = createTestHost();
afterAll(async () => await host.stop());

const sumOf = (counters: readonly number[] | number): number =>
  typeof counters === 'number' ? counters : counters.reduce((sum, each) => sum + each, 0);

describe.each([meshforge, jetstream, jetstreamFloor, bullmq, bullmqFsync, restate])('$name', (contender) => {
  let service: Service;
  let client: DurableClient;
  beforeAll(async () => {
    service = await contender.start(host);
    client = await contender.connect(service.address);
  }, firstStartMs);
  afterAll(async () => {
    await client?.close();
    await service?.stop();
  });

  test('of 200 jobs, 20 under way at once, each counts once', async () => {
    const entities = Array.from({ length: 4 }, () => randomUUID());
    await client.create(entities);
    const before = sumOf(await client.counters(entities));
    const workers = Array.from({ length: 20 }, async (_, worker) => {
      for (let done = 0; done < 10; done++) await (await client.send(entities[worker % 4] as string))();
    });
    await Promise.all(workers);
    await vi.waitFor(async () => expect(await client.pending()).toBe(0), 20_000);
    const after = await client.counters(entities);
    expect(sumOf(after) - before).toBe(200);
    if (typeof after !== 'number') expect(after).toEqual([50, 50, 50, 50]);
  }, 60_000);

  test('what is stored and not waited for is executed as well, and not pending any more', async () => {
    const entity = randomUUID();
    await client.create([entity]);
    const before = sumOf(await client.counters([entity]));
    await Promise.all(Array.from({ length: 50 }, async () => await client.send(entity)));
    await vi.waitFor(async () => expect(await client.pending()).toBe(0), { timeout: 30_000 });
    expect(sumOf(await client.counters([entity])) - before).toBe(50);
  }, 60_000);
});

test('a job that the bare work queue delivers again changes nothing: refused at first, then known by its id', async () => {
  const service = await jetstream.start(host);
  const connection = await connect({ servers: String(service.address['url']) });
  try {
    const publish = leanPublisher(connection);
    const { counterPrefix } = jetstreamQueue('counter');
    const add = async (expected: number) => {
      return await publish(`${counterPrefix}again`, '{"count":1}', `${expecting(expected)}Nats-Msg-Id: again\r\n`);
    };
    const { sequence } = await add(0);
    await expect(add(0)).rejects.toThrow('wrong last sequence');
    expect(await add(sequence)).toEqual({ sequence, isDuplicate: true });
  } finally {
    await connection.close();
    await service.stop();
  }
}, 30_000);
