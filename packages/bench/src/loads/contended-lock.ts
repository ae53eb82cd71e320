import { setImmediate as nextTick } from 'node:timers/promises';
import type { ContendedLockClient, Waiter } from '../contender.ts';
import { etcd } from '../contenders/contended-lock/etcd.ts';
import { meshforge, meshforgeFsync } from '../contenders/contended-lock/meshforge.ts';
import { postgresAdvisory } from '../contenders/contended-lock/postgres-advisory.ts';
import { redlock } from '../contenders/contended-lock/redlock.ts';
import { defineLoad, type Work } from './load.ts';

const resource = 'contended';

export const contendedLock = defineLoad<ContendedLockClient>({
  id: 'contended-lock',
  title: 'Lock and unlock: everybody wants the same lock',
  unit: 'locks',
  contended: true,
  concurrency: { short: [8, 64], full: [8, 64, 500] },
  contenders: [meshforge, meshforgeFsync, redlock, etcd, postgresAdvisory],
  work: (client) => Promise.resolve(lockAndUnlock(client)),
});

/** Each worker is a client with a connection of its own, made when it is first needed: that is, while nothing is measured. */
function lockAndUnlock(client: ContendedLockClient): Work {
  const waiters: Promise<Waiter>[] = [];
  let inside = 0;
  let mostInside = 0;
  let acquired = 0;
  let released = 0;
  /** Read at the beginning of the critical section and written at its end, as by work that trusts the lock. */
  let trusted = 0;

  return {
    async run(worker) {
      const waiter = await (waiters[worker] ??= client.waiter());
      const unlock = await waiter.lock(resource);
      acquired++;
      mostInside = Math.max(mostInside, ++inside);
      const before = trusted;
      await nextTick();
      trusted = before + 1;
      inside--;
      await unlock();
      released++;
    },
    messages: async () => await client.messages(),
    verify() {
      if (mostInside > 1) throw new Error(`${mostInside} clients held the lock at once`);
      if (trusted !== acquired) throw new Error(`${acquired} clients held the lock, but ${trusted} counted themselves`);
      if (released !== acquired) throw new Error(`of ${acquired} locks ${released} were unlocked`);
      return Promise.resolve();
    },
    async close() {
      await Promise.all(waiters.map(async (waiter) => await (await waiter).close()));
      await client.close();
    },
  };
}
