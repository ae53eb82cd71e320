/** Hunts for lease times and owners at the edges of what the lock manager takes. */
import { describe, expect, it } from 'vitest';
import { check, DeniedPayload, LOCK_DENIALS, lockContract, LockState } from '../src/index.ts';

const { acquire, refresh, release } = lockContract.actions;

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

describe('a denial', () => {
  it.each(LOCK_DENIALS)('can be %s', (code) => {
    const denial = { entity_id: 'a', owner_id: 'me', code, reason: 'why', current_owner_id: null, expires_at: null };
    expect(check(DeniedPayload, denial).ok).toBe(true);
    expect(check(DeniedPayload, { ...denial, retry_after_ms: 0 }).ok).toBe(true);
    expect(check(DeniedPayload, { ...denial, retry_after_ms: -1 }).ok).toBe(false);
  });
});
