import { setTimeout as sleep } from 'node:timers/promises';
import { isCommitted } from './items.ts';
import type { Load, Worker } from './load.ts';

const queues = Array.from({ length: 3 }, (_, index) => `queue ${index + 1}`);
const ttlMs: readonly [number, number] = [500, 1_500];
const waitMs: readonly [number, number] = [300, 5_000];
const takeUpMs = 500;

/**
 * Many wait for few locks: some leave while they wait, some are taken out of the queue, and some never take up the lease
 * that they were given.
 */
export const waiting: Load = {
  name: 'waiting',
  workers: 12,
  pauseMs: [5, 60],
  async turn(worker) {
    const { random, name, desk, client, nextId } = worker;
    const entityId = random.chance(0.5) ? (queues[0] as string) : random.pick(queues);
    const wait = random.int(...waitMs);
    const ttl = random.int(...ttlMs);
    const isOffer = random.chance(0.3);
    const data = { owner_id: name, ttl_ms: ttl, wait_ms: wait, ...(isOffer ? { take_up_ms: takeUpMs } : {}) };
    const command = { agent: 'lock', action: 'acquire', commandId: nextId(), entityId, data } as const;
    if (random.chance(0.08)) {
      await desk.sendAndLeave(client, command, random.int(0, wait));
      return;
    }
    const cancelled = random.chance(0.15) ? cancelAfter(random.int(0, wait), worker, entityId) : undefined;
    const isPatient = random.chance(0.4);
    const answer = await (isPatient ? desk.send(client, command, wait) : desk.sendAndWait(client, command, wait));
    if (isCommitted(answer)) await hold(worker, entityId, ttl, isOffer);
    await cancelled;
  },
};

async function hold(worker: Worker, entityId: string, ttl: number, isOffer: boolean): Promise<void> {
  const { random, name, desk, client, nextId } = worker;
  const common = { agent: 'lock', entityId } as const;
  if (isOffer) {
    if (random.chance(0.5)) return;
    const data = { owner_id: name, ttl_ms: ttl };
    await desk.sendOnce(client, { ...common, action: 'refresh', commandId: nextId(), data });
  }
  await sleep(random.int(0, 250));
  if (random.chance(0.15)) return;
  await desk.sendOnce(client, { ...common, action: 'release', commandId: nextId(), data: { owner_id: name } });
}

async function cancelAfter(ms: number, worker: Worker, entityId: string): Promise<void> {
  const { desk, name, nextId, otherClient } = worker;
  await sleep(ms);
  const data = { owner_id: name };
  await desk.sendOnce(otherClient(), { agent: 'lock', action: 'cancel', commandId: nextId(), entityId, data });
}

/** An operator ends leases, whoever holds them. */
export const breaking: Load = {
  name: 'breaking',
  workers: 1,
  pauseMs: [100, 400],
  async turn({ random, name, desk, client, nextId }) {
    const entityId = random.pick(queues);
    const data = { reason: 'maintenance', ...(random.chance(0.5) ? { operator_id: name } : {}) };
    await desk.sendOnce(client, { agent: 'lock', action: 'break', commandId: nextId(), entityId, data });
  },
};
