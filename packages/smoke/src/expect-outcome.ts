/** What a check expects of the reply to a command: the outcome, its numbers and its error headers. */
import {
  check,
  CONFLICT_STATUS,
  DeniedPayload,
  HEADERS,
  inventoryContract,
  InventoryState,
  LockState,
  RULE_STATUS,
  statusOfCode,
  type ConflictPayload,
  type LockDenial,
  type RejectedPayload,
  type SuccessPayload,
} from '@meshforge/protocol';
import type { z } from 'zod';
import { CheckFailed } from './check.ts';
import { expectEqual, expectPresent, expectThat, show } from './expect.ts';
import type { Reply } from './reply.ts';

/** The command was committed now (not before) as this version of the entity. */
export function expectCommitted(reply: Reply, event: string, version: number): SuccessPayload {
  const { outcome } = reply;
  if (outcome.kind !== 'committed') throw otherOutcome(reply, `committed as ${event} with entity_version ${version}`);
  expectEqual(`the event in the reply to ${reply.subject}`, reply.event, event);
  expectEqual(`entity_version in the reply to ${reply.subject}`, outcome.payload.entity_version, version);
  expectEqual(`${HEADERS.errorCode} of a success`, reply.header(HEADERS.errorCode), undefined);
  return outcome.payload;
}

/** {@link expectCommitted} for the inventory, with the state of the live item. */
export function expectItem(reply: Reply, event: string, version: number): InventoryState {
  const payload = expectCommitted(reply, `evt.${inventoryContract.name}.${event}`, version);
  return expectState(reply.subject, InventoryState, payload.state);
}

/** A lock was granted, kept or given back. The version is the caller's business. */
export function expectLock(reply: Reply, event: 'acquired' | 'released'): { version: number; state: LockState } {
  const { outcome } = reply;
  if (outcome.kind !== 'committed') throw otherOutcome(reply, `committed as evt.lock.${event}`);
  expectEqual(`the event in the reply to ${reply.subject}`, reply.event, `evt.lock.${event}`);
  const state = expectState(reply.subject, LockState, outcome.payload.state);
  return { version: outcome.payload.entity_version, state };
}

/** The retry of a command that was committed before. */
export function expectReplayed(reply: Reply): SuccessPayload {
  if (reply.outcome.kind !== 'replayed') throw otherOutcome(reply, `a success with ${HEADERS.replayed}: true`);
  return reply.outcome.payload;
}

export function expectConflict(reply: Reply, expected: number, current: number): ConflictPayload {
  const { outcome } = reply;
  if (outcome.kind !== 'conflict') throw otherOutcome(reply, `a conflict (expected ${expected}, current ${current})`);
  expectEqual('expected_version of the conflict', outcome.payload.expected_version, expected);
  expectEqual('current_version of the conflict', outcome.payload.current_version, current);
  expectThat('reason of the conflict', outcome.payload.reason.length > 0, 'some text', outcome.payload.reason);
  expectErrorHeaders(reply, CONFLICT_STATUS);
  return outcome.payload;
}

export function expectRejected(reply: Reply, code: string): RejectedPayload {
  const payload = expectRefused(reply, code);
  expectEqual(`code of the rejection of ${reply.subject}`, payload.code, code);
  expectErrorHeaders(reply, statusOfCode(code));
  return payload;
}

/** Refused by a rule of the action whose code PROTOCOL does not name. */
export function expectRuleRejection(reply: Reply): RejectedPayload {
  const payload = expectRefused(reply, 'a rule of the action');
  expectEqual(
    `status of the code ${payload.code}, which must be the action's own`,
    statusOfCode(payload.code),
    RULE_STATUS,
  );
  expectErrorHeaders(reply, RULE_STATUS);
  return payload;
}

export function expectDenied(reply: Reply, code: LockDenial): DeniedPayload {
  if (reply.outcome.kind !== 'denied') throw otherOutcome(reply, `denied with code ${code}`);
  const payload = expectState(reply.subject, DeniedPayload, reply.payload);
  expectEqual(`code of the denial of ${reply.subject}`, payload.code, code);
  expectErrorHeaders(reply, RULE_STATUS);
  return payload;
}

function expectRefused(reply: Reply, by: string): RejectedPayload {
  const { outcome } = reply;
  if (outcome.kind !== 'rejected' && outcome.kind !== 'malformed') throw otherOutcome(reply, `rejected: ${by}`);
  expectThat('reason of the rejection', outcome.payload.reason.length > 0, 'some text', outcome.payload.reason);
  return outcome.payload;
}

function expectErrorHeaders(reply: Reply, status: number): void {
  expectEqual(`${HEADERS.errorCode} of the reply to ${reply.subject}`, reply.header(HEADERS.errorCode), String(status));
  expectPresent(`${HEADERS.error} of the reply to ${reply.subject}`, reply.header(HEADERS.error));
}

/** Narrows a part of a reply to its schema. */
export function expectState<T>(subject: string, schema: z.ZodType<T>, value: unknown): T {
  const checked = check(schema, value);
  if (checked.ok) return checked.value;
  throw new CheckFailed(
    `the reply to ${subject}: expected what PROTOCOL describes (${checked.reason}), got ${show(value)}`,
  );
}

function otherOutcome(reply: Reply, expected: string): CheckFailed {
  return new CheckFailed(
    `the reply to ${reply.subject}: expected ${expected}, got ${reply.outcome.kind} ${reply.event} ${show(reply.payload)}`,
  );
}
