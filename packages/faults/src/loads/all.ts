import { copies, sameIdRetries } from './copies.ts';
import { mirrored, sending } from './durable.ts';
import { guardedWrites } from './guarded-writes.ts';
import type { Load } from './load.ts';
import { locks } from './locks.ts';
import { lives, refusals, reservations } from './stock.ts';
import { guardedUpdates, readModifyWrite, unguardedUpdates } from './updates.ts';
import { breaking, waiting } from './waiting.ts';

/** Every load there is; a further one is a file and a line here. */
export const LOADS: readonly Load[] = [
  unguardedUpdates,
  guardedUpdates,
  readModifyWrite,
  reservations,
  refusals,
  lives,
  locks,
  waiting,
  breaking,
  guardedWrites,
  copies,
  sameIdRetries,
  sending,
  mirrored,
];
