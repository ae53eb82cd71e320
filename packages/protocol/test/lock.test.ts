/** Hunts for lease times and owners at the edges of what the lock manager takes. */
import { describe, expect, it } from 'vitest';
import {
  check,
  DeniedPayload,
  inventoryContract,
  jsonSchemas,
  LeaseTaken,
  LOCK_DENIALS,
  LOCK_LIMITS,
  lockContract,
  LockState,
  Queued,
  WaitEnded,
} from '../src/index.ts';
import { compiled } from './strict-ajv.ts';

const { acquire, break: breakLease, cancel, refresh, release } = lockContract.actions;
const NOON = '2026-01-31T12:00:00.000Z';

describe('acquire', () => {
  it('fills in its defaults', () => {
    expect(check(acquire.data, { owner_id: 'me' })).toEqual({
      ok: true,
      value: { owner_id: 'me', ttl_ms: 30_000, wait_ms: 0 },
    });
  });

  it.each([
    ['ttl_ms', 499, false],
    ['ttl_ms', 500, true],
    ['ttl_ms', 86_400_000, true],
    ['ttl_ms', 86_400_001, false],
    ['ttl_ms', 500.5, false],
    ['ttl_ms', '500', false],
    ['ttl_ms', null, false],
    ['wait_ms', -1, false],
    ['wait_ms', 0, true],
    ['wait_ms', 600_000, true],
    ['wait_ms', 600_001, false],
    ['take_up_ms', 499, false],
    ['take_up_ms', 500, true],
    ['take_up_ms', 86_400_001, false],
    ['owner_id', '', false],
    ['owner_id', '😀'.repeat(256), true],
    ['owner_id', '😀'.repeat(257), false],
    ['owner_id', 7, false],
    ['ttl', 1_000, false],
    ['fencing_token', 1, false],
  ])('with %s %j: accepted is %s', (key, value, accepted) => {
    expect(check(acquire.data, { owner_id: 'me', [key]: value }).ok).toBe(accepted);
  });
});

describe.each([
  ['refresh', refresh.data],
  ['release', release.data],
])('%s', (_, data) => {
  it.each([
    [1, true],
    [Number.MAX_SAFE_INTEGER, true],
    [0, false],
    [-1, false],
    [1.5, false],
    ['1', false],
  ])('with fencing token %j: accepted is %s', (token, accepted) => {
    expect(check(data, { owner_id: 'me', fencing_token: token }).ok).toBe(accepted);
  });

  it('does without a fencing token, but not without an owner', () => {
    expect(check(data, { owner_id: 'me' }).ok).toBe(true);
    expect(check(data, {}).ok).toBe(false);
  });
});

describe('a refresh', () => {
  it('cannot wait', () => {
    expect(check(refresh.data, { owner_id: 'me', wait_ms: 0 }).ok).toBe(false);
  });
});

describe('the state of a lock', () => {
  const state = {
    owner_id: 'me',
    fencing_token: 3,
    acquired_at: '2026-01-31T12:00:00.000Z',
    expires_at: '2026-01-31T12:00:30.000Z',
  };

  it('names its holder, or nobody', () => {
    expect(check(LockState, state).ok).toBe(true);
    expect(check(LockState, { ...state, owner_id: null }).ok).toBe(true);
  });

  it.each([
    '2026-01-31T12:00:00Z',
    '2026-01-31T12:00:00.000+01:00',
    '2026-02-30T12:00:00.000Z',
    '2026-01-31',
    1_769_860_800,
  ])('does not end at %j', (time) => {
    expect(check(LockState, { ...state, expires_at: time })).toMatchObject({
      issues: [
        { path: 'expires_at', message: 'expected a UTC time with milliseconds, such as 2026-01-31T12:00:00.000Z' },
      ],
    });
  });

  it('takes the times that JavaScript writes', () => {
    expect(check(LockState, { ...state, expires_at: new Date().toISOString() }).ok).toBe(true);
  });
});

describe('cancel', () => {
  it.each([
    [{ owner_id: 'me' }, true],
    [{}, false],
    [{ owner_id: '' }, false],
    [{ owner_id: 'me', fencing_token: 1 }, false],
  ])('%j: accepted is %s', (data, accepted) => {
    expect(check(cancel.data, data).ok).toBe(accepted);
  });
});

describe('break', () => {
  it.each([
    [{ reason: 'the host is gone' }, true],
    [{ reason: '😀'.repeat(LOCK_LIMITS.reasonCharacters), operator_id: 'ann' }, true],
    [{ reason: '😀'.repeat(LOCK_LIMITS.reasonCharacters + 1) }, false],
    [{ reason: '' }, false],
    [{ operator_id: 'ann' }, false],
    [{ reason: 'why', operator_id: '' }, false],
    [{ reason: 'why', owner_id: 'me' }, false],
    [{}, false],
  ])('%j: accepted is %s', (data, accepted) => {
    expect(check(breakLease.data, data).ok).toBe(accepted);
  });
});

describe('what is seen of a lock', () => {
  const { results } = jsonSchemas(lockContract);
  const lock = {
    entity_id: 'printer',
    entity_version: 3,
    state: { owner_id: 'me', fencing_token: 3, acquired_at: NOON, expires_at: NOON },
  };
  const bodies: Readonly<Record<string, (entity: object) => object>> = {
    get: (entity) => entity,
    list: (entity) => ({ entities: [entity] }),
  };

  it.each([
    [{}, true],
    [{ remaining_ms: 0, waiters: 0 }, true],
    [{ remaining_ms: 1, waiters: 1, queue: [{ owner_id: 'you', position: 1, until: NOON }] }, true],
    [{ remaining_ms: -1 }, false],
    [{ waiters: -1 }, false],
    [{ waiters: null }, false],
    [{ queue: {} }, false],
    [{ queue: [{ owner_id: 'you', position: 0, until: NOON }] }, false],
    [{ queue: [{ owner_id: 'you', position: 1 }] }, false],
  ])('%j: readable is %s, by get and by list', (view, readable) => {
    for (const [kind, body] of Object.entries(bodies)) {
      const validate = compiled(results[`qry.lock.${kind}`]);
      expect([kind, validate(body({ ...lock, ...view }))]).toEqual([kind, readable]);
    }
  });

  it('is not told of other agents', () => {
    expect(JSON.stringify(jsonSchemas(inventoryContract).results)).not.toContain('remaining_ms');
  });
});

describe('the end of a lease or of a wait', () => {
  it.each([
    [{ cause: 'broken', owner_id: 'me', reason: 'why', operator_id: 'ann' }, true],
    [{ cause: 'gone', owner_id: 'me', reason: 'why' }, true],
    [{ cause: 'expired', owner_id: 'me', reason: 'why' }, false],
    [{ cause: 'gone', reason: 'why' }, false],
    [{ cause: 'gone', owner_id: null, reason: 'why' }, false],
  ])('a lease taken away, %j: readable is %s', (data, readable) => {
    expect(check(LeaseTaken, data).ok).toBe(readable);
  });

  it.each([
    [WaitEnded, { owner_id: 'me', waiters: 0 }, true],
    [WaitEnded, { waiters: 3 }, false],
    [WaitEnded, { owner_id: 'me' }, false],
    [WaitEnded, { owner_id: null, waiters: 0 }, false],
    [Queued, { owner_id: 'me', position: 1, waiters: 1, until: NOON }, true],
    [Queued, { owner_id: 'me', position: 0, waiters: 1, until: NOON }, false],
    [Queued, { owner_id: 'me', position: 1, waiters: 0, until: NOON }, false],
  ])('a wait (%#) is readable as it must be', (schema, data, readable) => {
    expect(check<unknown>(schema, data).ok).toBe(readable);
  });
});

describe('a denial', () => {
  it.each(LOCK_DENIALS)('can be %s', (code) => {
    const denial = { entity_id: 'a', owner_id: 'me', code, reason: 'why', current_owner_id: null, expires_at: null };
    expect(check(DeniedPayload, denial).ok).toBe(true);
    expect(check(DeniedPayload, { ...denial, retry_after_ms: 0 }).ok).toBe(true);
    expect(check(DeniedPayload, { ...denial, retry_after_ms: -1 }).ok).toBe(false);
    // `break` names no owner.
    expect(check(DeniedPayload, { ...denial, owner_id: null }).ok).toBe(true);
    expect(check(DeniedPayload, { ...denial, owner_id: undefined }).ok).toBe(false);
    expect(check(DeniedPayload, { ...denial, waiters: 1 }).ok).toBe(true);
    expect(check(DeniedPayload, { ...denial, waiters: 0 }).ok).toBe(false);
  });
});
