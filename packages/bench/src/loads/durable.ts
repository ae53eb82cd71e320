import { setTimeout as sleep } from 'node:timers/promises';
import type { DurableClient } from '../contender.ts';
import { bullmq, bullmqFsync } from '../contenders/durable/bullmq.ts';
import { jetstream, jetstreamFloor, jetstreamFsync } from '../contenders/durable/jetstream.ts';
import { meshforge, meshforgeFsync } from '../contenders/durable/meshforge.ts';
import { restate } from '../contenders/durable/restate.ts';
import { defineLoad, type Work } from './load.ts';

const entities = Array.from({ length: 1_000 }, (_, index) => `item-${index}`);
const contenders = [meshforge, meshforgeFsync, jetstream, jetstreamFsync, jetstreamFloor, bullmq, bullmqFsync, restate];
const concurrency = { short: [64], full: [1, 64, 512] };
const pollMs = 25;
/** How long jobs that are stored may take until they are executed. */
const patienceMs = 120_000;

/** As many under way as a client has sent and not yet learnt the outcome of: what can be kept up for ever. */
export const durableSend = defineLoad<DurableClient>({
  id: 'durable-send',
  title: 'Durable command to one of 1,000 entities, until its outcome is known',
  unit: 'executed',
  concurrency,
  contenders,
  work: async (client) => await durable(client, 'executed'),
});

/** Stored as fast as it goes, while whoever executes works on what has come so far. */
export const durableStore = defineLoad<DurableClient>({
  id: 'durable-store',
  title: 'Durable command to one of 1,000 entities, until it is stored',
  unit: 'stored',
  concurrency,
  contenders,
  work: async (client) => await durable(client, 'stored'),
});

async function durable(client: DurableClient, until: 'stored' | 'executed'): Promise<Work> {
  await client.create(entities);
  const sent = entities.map(() => 0);
  let stored = 0;

  const settle = async (): Promise<void> => {
    const deadline = performance.now() + patienceMs;
    for (let left = await client.pending(); left > 0; left = await client.pending()) {
      if (performance.now() > deadline) throw new Error(`${left} jobs are not executed yet`);
      await sleep(pollMs);
    }
  };

  return {
    async run() {
      const index = Math.floor(Math.random() * entities.length);
      const outcome = await client.send(entities[index] as string);
      sent[index] = (sent[index] as number) + 1;
      stored++;
      if (until === 'executed') await outcome();
    },
    ...(until === 'stored' && { executed: async () => stored - (await client.pending()), settle }),
    ...(client.messages !== undefined && { messages: async () => (await client.messages?.()) ?? 0 }),
    async verify() {
      await settle();
      const found = await client.counters(entities);
      const total = typeof found === 'number' ? found : found.reduce((sum, each) => sum + each, 0);
      if (total !== stored) throw new Error(`${stored} jobs were stored, but the counters say ${total}`);
      if (typeof found === 'number') return;
      const wrong = entities.findIndex((_, index) => found[index] !== sent[index]);
      if (wrong >= 0)
        throw new Error(`${entities[wrong]} was sent ${sent[wrong]} jobs, but its counter says ${found[wrong]}`);
    },
    close: async () => await client.close(),
  };
}
