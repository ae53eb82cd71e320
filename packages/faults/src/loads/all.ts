import { breaking } from './breaking.ts';
import { copies } from './copies.ts';
import { guardedWrites } from './guarded-writes.ts';
import { lives } from './lives.ts';
import type { Load } from './load.ts';
import { locks } from './locks.ts';
import { mirrored } from './mirrored.ts';
import { readModifyWrite } from './read-modify-write.ts';
import { refusals } from './refusals.ts';
import { reservations } from './reservations.ts';
import { sameIdRetries } from './same-id-retries.ts';
import { sending } from './sending.ts';
import { guardedUpdates, unguardedUpdates } from './updates.ts';
import { waiting } from './waiting.ts';

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
