import { contention } from './contention.ts';
import { growth } from './growth.ts';
import type { Load } from './load.ts';
import { lockContention } from './lock-contention.ts';
import { locks } from './locks.ts';
import { replicas } from './replicas.ts';
import { updates } from './updates.ts';

/** In the order in which they are run. */
export const LOADS: readonly Load[] = [updates, locks, lockContention, contention, growth, replicas];
