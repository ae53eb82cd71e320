import type { Invariant } from './invariant.ts';
import { acknowledgedCommits } from './invariants/acknowledged-commits.ts';
import { commitsOfCommands } from './invariants/commits-of-commands.ts';
import { durableCommands } from './invariants/durable-commands.ts';
import { eventsOfCommits } from './invariants/events-of-commits.ts';
import { explicableRefusals } from './invariants/explicable-refusals.ts';
import { fencingTokens } from './invariants/fencing-tokens.ts';
import { firstComeFirstServed } from './invariants/first-come-first-served.ts';
import { guardedCommits } from './invariants/guarded-commits.ts';
import { guardedWrites } from './invariants/guarded-writes.ts';
import { lastingLog } from './invariants/lasting-log.ts';
import { marks } from './invariants/marks.ts';
import { oneHolder } from './invariants/one-holder.ts';
import { onceEach } from './invariants/once-each.ts';
import { reactions } from './invariants/reactions.ts';
import { realTimeOrder } from './invariants/real-time-order.ts';
import { refusedCommands } from './invariants/refused-commands.ts';
import { signals } from './invariants/signals.ts';
import { statesFollow } from './invariants/states-follow.ts';
import { versions } from './invariants/versions.ts';
import { waiters } from './invariants/waiters.ts';

/** All that a history must fulfil. Several may be parts of one invariant, and carry its number. */
export const INVARIANTS: readonly Invariant[] = [
  lastingLog,
  versions,
  statesFollow,
  acknowledgedCommits,
  refusedCommands,
  commitsOfCommands,
  guardedCommits,
  onceEach,
  eventsOfCommits,
  signals,
  fencingTokens,
  oneHolder,
  firstComeFirstServed,
  waiters,
  guardedWrites,
  realTimeOrder,
  explicableRefusals,
  durableCommands,
  marks,
  reactions,
];
