import type { Check } from '../check.ts';
import { badInputChecks } from './bad-input.ts';
import { concurrencyChecks } from './concurrency.ts';
import { conflictChecks } from './conflicts.ts';
import { deadlineChecks } from './deadlines.ts';
import { deletionChecks } from './deletion.ts';
import { discoveryChecks } from './discovery.ts';
import { durableCommandChecks } from './durable-commands.ts';
import { entityIdChecks } from './entity-ids.ts';
import { entityVersionChecks } from './entity-versions.ts';
import { guardingChecks } from './guarding.ts';
import { lockHoldingChecks } from './lock-holding.ts';
import { lockLeaseChecks } from './lock-leases.ts';
import { lockWaitingChecks } from './lock-waiting.ts';
import { messageHeaderChecks } from './message-headers.ts';
import { outcomeChecks } from './outcomes.ts';
import { privateLogChecks } from './private-log.ts';
import { queryChecks } from './queries.ts';
import { reservationChecks } from './reservations.ts';
import { retryChecks } from './retries.ts';
import { signalChecks } from './signals.ts';

/** In the order in which a failure explains the ones after it. */
export const ALL_CHECKS: readonly Check[] = [
  ...discoveryChecks,
  ...entityVersionChecks,
  ...conflictChecks,
  ...concurrencyChecks,
  ...retryChecks,
  ...outcomeChecks,
  ...deadlineChecks,
  ...messageHeaderChecks,
  ...badInputChecks,
  ...reservationChecks,
  ...deletionChecks,
  ...queryChecks,
  ...entityIdChecks,
  ...privateLogChecks,
  ...signalChecks,
  ...lockHoldingChecks,
  ...lockLeaseChecks,
  ...lockWaitingChecks,
  ...guardingChecks,
  ...durableCommandChecks,
];
