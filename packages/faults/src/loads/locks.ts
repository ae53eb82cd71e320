import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from '../history.ts';
import { isCommitted } from './items.ts';
import type { Load, Worker } from './load.ts';

const resources = Array.from({ length: 8 }, (_, index) => `resource ${index + 1}`);
/** Shorter than what an agent or a server is frozen for at its longest. */
const ttlMs: readonly [number, number] = [500, 3_000];
const mostRefreshes = 3;

/** Takes a lock, holds on to it or not, gives it back or lets it end; others want it too. */
export const locks: Load = {
  name: 'locks',
  workers: 10,
  pauseMs: [5, 100],
  async turn(worker) {
    const { random, name } = worker;
    const entityId = random.chance(0.4) ? (resources[0] as string) : random.pick(resources);
    const ttl = random.int(...ttlMs);
    const wait = random.chance(0.2) ? { wait_ms: random.int(50, 1_500) } : {};
    let lease = await send(worker, 'acquire', entityId, { owner_id: name, ttl_ms: ttl, ...wait });
    if (!isCommitted(lease)) return;
    for (let refreshes = random.int(0, mostRefreshes); refreshes > 0 && isCommitted(lease); refreshes--) {
      // Now and then into the very last moments of the lease, or past them.
      await sleep(random.chance(0.1) ? ttl - random.int(-50, 350) : random.int(0, ttl / 2));
      lease = await send(worker, 'refresh', entityId, { owner_id: name, ttl_ms: ttl, ...tokenOf(lease, worker) });
    }
    if (random.chance(0.3)) return;
    await sleep(random.int(0, 200));
    await send(worker, 'release', entityId, { owner_id: name, ...tokenOf(lease, worker) });
  },
};

type Data = Readonly<Record<string, string | number>>;

/** Mostly once, for what is refused now may be granted a moment later; now and then as patient users do. */
function send(worker: Worker, action: string, entityId: string, data: Data): Promise<Answer | undefined> {
  const { desk, client, random, nextId } = worker;
  const command = { agent: 'lock', action, commandId: nextId(), entityId, data } as const;
  return random.chance(0.7) ? desk.sendOnce(client, command) : desk.send(client, command);
}

/** Holders mostly say which lease they mean. */
function tokenOf(lease: Answer | undefined, { random }: Worker): { fencing_token?: number } {
  const state = lease?.payload['state'] as { fencing_token?: number } | null | undefined;
  return typeof state?.fencing_token === 'number' && random.chance(0.8) ? { fencing_token: state.fencing_token } : {};
}
