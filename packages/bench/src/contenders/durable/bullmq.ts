import { nuid } from '@nats-io/nats-core';
import { Queue, QueueEvents } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Address, Contender, DurableClient, Host, Service } from '../../contender.ts';
import { loopback } from '../../servers/server.ts';
import type { RedisKeeping } from '../../servers/redis.ts';
import { counterKey, queueName } from '../../services/bullmq-queue.ts';
import { connectRedis, startRedisService } from '../redis-service.ts';
import { startServing } from '../start-serving.ts';
import { Outcomes } from './outcomes.ts';

const script = new URL('../../services/bullmq-worker.ts', import.meta.url);
/** Events that BullMQ keeps: its 10,000 would be overrun by a backlog, and outcomes with them. */
const maxEvents = 1_000_000;

async function start(host: Host, keeping: RedisKeeping): Promise<Service> {
  const redis = await startRedisService(host, { keeping, libraries: ['bullmq'] });
  const worker = await startServing("BullMQ's worker", script, [String(redis.address['port'])]);
  return {
    ...redis,
    pids: () => [...redis.pids(), worker.pid ?? 0],
    stop: async () => void (await worker.stop()),
  };
}

async function connect(address: Address): Promise<DurableClient> {
  const connection = { host: loopback, port: Number(address['port']) };
  const redis = await connectRedis(address);
  const streams = { events: { maxLen: maxEvents } };
  const queue = new Queue(queueName, {
    connection,
    streams,
    defaultJobOptions: { removeOnComplete: true, attempts: 5 },
  });
  const events = new QueueEvents(queueName, { connection, lastEventId: '0' });
  const outcomes = new Outcomes();
  events.on('completed', ({ jobId }) => outcomes.tell(jobId));
  events.on('failed', ({ jobId, failedReason }) => outcomes.tell(jobId, new Error(failedReason)));
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
  return {
    create: () => Promise.resolve(),
    async send(entity) {
      const jobId = nuid.next();
      const outcome = outcomes.open(jobId);
      await queue.add('add', { entity, delta: 1 }, { jobId });
      return outcome;
    },
    pending: async () => await queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized'),
    counters: async (entities) => (await redis.mget(entities.map(counterKey))).map((count) => Number(count ?? 0)),
    messages: async () => 2 * (await commandsSent(redis)),
    async close() {
      await Promise.all([events.close(), queue.close()]);
      await redis.quit();
    },
  };
}

/** What scripts do inside is no message. */
async function commandsSent(redis: Redis): Promise<number> {
  const calls = (await redis.info('commandstats')).matchAll(/^cmdstat_(?:eval|evalsha|xread|bzpopmin):calls=(\d+)/gm);
  return [...calls].reduce((total, [, count]) => total + Number(count), 0);
}

const about =
  'BullMQ: queue.add with an id, one worker with a concurrency of 256; a script adds to the counter and marks the job: exactly once within ten minutes, in no order; outcomes by QueueEvents';

export const bullmq: Contender<DurableClient> = {
  id: 'bullmq',
  name: 'BullMQ',
  about: `${about}; Redis as it comes: snapshots only`,
  durability: 'memory',
  start: async (host) => await start(host, 'snapshots'),
  connect,
};

export const bullmqFsync: Contender<DurableClient> = {
  id: 'bullmq-fsync',
  name: 'BullMQ, fsync',
  about: `${about}; append-only file with appendfsync always`,
  durability: 'fsync',
  start: async (host) => await start(host, 'always'),
  connect,
};
