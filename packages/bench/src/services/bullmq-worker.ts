/**
 * BullMQ's worker: `bullmq-worker <redis port>`. One script adds to the counter and marks the job, so that one which is
 * executed again changes nothing.
 */
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { loopback } from '../servers/server.ts';
import { counterKey, markSeconds, queueName } from './bullmq-queue.ts';

interface WithAdd extends Redis {
  addOnce(counter: string, mark: string, delta: number, seconds: number): Promise<number>;
}

const lua = `
if not redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[2]) then return 0 end
return redis.call('INCRBY', KEYS[1], ARGV[1])`;

/** As many as an agent of MeshForge tries at once. */
const concurrency = 256;

const connection = { host: loopback, port: Number(process.argv[2]) };
const redis = new Redis(connection) as WithAdd;
redis.defineCommand('addOnce', { numberOfKeys: 2, lua });
const worker = new Worker<{ entity: string; delta: number }>(
  queueName,
  async ({ id = '', data: { entity, delta } }) =>
    void (await redis.addOnce(counterKey(entity), `mark:${id}`, delta, markSeconds)),
  { connection, concurrency },
);
await worker.waitUntilReady();
process.send?.('serving');
process.once('disconnect', () => process.exit(1));
