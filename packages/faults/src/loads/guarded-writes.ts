import { setTimeout as sleep } from 'node:timers/promises';
import type { NamedLease } from '../history.ts';
import { isCommitted } from './items.ts';
import type { Load, Worker } from './load.ts';

const names = ['guarded 1', 'guarded 2'];
const ttlMs: readonly [number, number] = [500, 1_200];
const waitMs: readonly [number, number] = [500, 3_000];

/**
 * Holders of a lock write to an item under their lease. Some go on after it has ended, as if they had been paused: once
 * another holder has written, they must be refused.
 */
export const guardedWrites: Load = {
  name: 'guarded-writes',
  workers: 6,
  pauseMs: [10, 80],
  async turn(worker) {
    const { random, name, desk, client, nextId } = worker;
    const resource = random.pick(names);
    const [ttl, wait] = [random.int(...ttlMs), random.int(...waitMs)];
    const data = { owner_id: name, ttl_ms: ttl, wait_ms: wait };
    const acquire = { agent: 'lock', action: 'acquire', commandId: nextId(), entityId: resource, data } as const;
    const answer = await desk.sendAndWait(client, acquire, wait);
    const state = answer?.payload['state'] as { fencing_token?: number } | null | undefined;
    if (!isCommitted(answer) || state?.fencing_token === undefined) return;
    const lease = { resource, fencing_token: state.fencing_token };
    for (let writes = random.int(1, 3); writes > 0; writes--) await write(worker, lease);
    if (random.chance(0.6)) {
      const release = { owner_id: name, fencing_token: lease.fencing_token };
      const command = {
        agent: 'lock',
        action: 'release',
        commandId: nextId(),
        entityId: resource,
        data: release,
      } as const;
      await desk.sendOnce(client, command);
    }
    if (random.chance(0.5)) return;
    await sleep(random.int(0, 2 * ttl));
    for (let writes = random.int(1, 2); writes > 0; writes--) await write(worker, lease);
  },
};

/** To the item that the lock guards; created first, if nobody has heard of it yet. */
async function write({ random, desk, client, nextId }: Worker, lease: NamedLease): Promise<void> {
  // Of another name than the lock: the desk knows entities by their ids alone.
  const entityId = `item of ${lease.resource}`;
  const common = { agent: 'inventory', entityId, lease } as const;
  if (desk.versionOf(entityId) === undefined) {
    const data = { name: 'bolt', quantity: 1 };
    await desk.send(client, { ...common, action: 'create', commandId: nextId(), data });
  }
  const data = { delta: random.int(1, 9) };
  const command = { ...common, action: 'adjust', commandId: nextId(), data } as const;
  // A token that was overtaken stays so: its refusal is true of every copy.
  await (random.chance(0.5) ? desk.send(client, command) : desk.sendOnce(client, command));
}
