/**
 * Hunts a grant that comes after its owner may have been told that there is none: several replicas may see to one command
 * that waits, and one of them may be late.
 */
import type { LockState } from '@meshforge/protocol';
import { commit, reject, type RuleContext } from '@meshforge/runtime';
import { expect, test } from 'vitest';
import { acquire, enqueueOwner } from '../src/rules.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');
const asked = { owner_id: 'me', ttl_ms: 10_000 };
const free: LockState = {
  owner_id: null,
  fencing_token: 1,
  acquired_at: new Date(NOON - 1_000).toISOString(),
  expires_at: new Date(NOON - 500).toISOString(),
};
const mine: LockState = { ...free, owner_id: 'me', expires_at: new Date(NOON + 5_000).toISOString() };
const theirs: LockState = { ...mine, owner_id: 'another' };

function context(more: Partial<RuleContext> = {}): RuleContext {
  return { entityId: 'lock', action: 'acquire', commandId: 'c', now: NOON, nextVersion: 2, notes: '', ...more };
}

function notesOf(owner: string, until: number): string {
  const made = enqueueOwner(theirs, { owner_id: owner, since: NOON - 100, until }, context());
  return (made as { notes: string }).notes;
}

const committed = commit(null).constructor;
const refused = reject('', '').constructor;

test.each([
  ['nobody holds the lock', free],
  ['its owner holds the lock by another command', mine],
])('without a place and without time left it commits no more: %s', (_, lock) => {
  const result = acquire(lock, asked, context({ heldBack: { until: NOON, freeUntil: NOON } }));
  expect(result).toBeInstanceOf(refused);
  expect(result).toMatchObject({ code: 'held' });
});

test('with its place it is granted, whatever its time', () => {
  const granted = (until: number, notes: string) =>
    acquire(free, asked, context({ heldBack: { until, freeUntil: 0 }, notes }));
  expect(granted(NOON + 1, notesOf('me', NOON + 1))).toBeInstanceOf(committed);
  expect(granted(NOON, notesOf('me', NOON))).toBeInstanceOf(refused);
});

test('with the place of a later command of its owner it commits no more', () => {
  const heldBack = { until: NOON + 1, freeUntil: 0 };
  expect(acquire(free, asked, context({ heldBack, notes: notesOf('me', NOON + 500) }))).toBeInstanceOf(refused);
});

test('with time left it needs no place', () => {
  expect(acquire(free, asked, context({ heldBack: { until: NOON + 1, freeUntil: NOON + 1 } }))).toBeInstanceOf(
    committed,
  );
});

test('that was never held back is granted a free lock', () => {
  expect(acquire(free, asked, context())).toBeInstanceOf(committed);
  expect(acquire(mine, asked, context())).toBeInstanceOf(committed);
});
