import { contention } from './contention.ts';
import { durableSend, durableStore } from './durable.ts';
import { growth } from './growth.ts';
import type { Load } from './load.ts';
import { contendedLock } from './contended-lock.ts';
import { locks } from './locks.ts';
import { replicas } from './replicas.ts';
import { updates } from './updates.ts';

/** In the order in which they are run. */
export const LOADS: readonly Load[] = [
  updates,
  locks,
  contendedLock,
  contention,
  durableSend,
  durableStore,
  growth,
  replicas,
];
