/**
 * Hunts a history of commands, pauses and expiries after which the rules and a plain model of a lock part ways: a token
 * that does not grow, a second grant beside one that has not ended, a stranger's command that changes something.
 */
import { type LockState } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lockManager } from '../src/index.ts';

const START = Date.parse('2000-01-01T12:00:00.000Z');

interface Model {
  version: number;
  /** The highest token yet. */
  lastToken: number;
  holder: { owner: string; token: number; since: number; end: number } | undefined;
}

type Step =
  | { kind: 'pause'; ms: number }
  /** To so many milliseconds after the end of the lease that stands. */
  | { kind: 'boundary'; offset: number }
  | { kind: 'expire' }
  | { kind: 'acquire'; owner: string; ttl: number }
  | { kind: 'refresh'; owner: string; token: number | undefined; ttl: number }
  | { kind: 'release'; owner: string; token: number | undefined };

const owner = fc.constantFrom('ann', 'bob', 'cy');
const ttl = fc.constantFrom(500, 501, 1_000, 30_000);
/** How far from the present token; undefined = none is given. */
const token = fc.option(fc.constantFrom(0, 0, 0, -1, 1, 2), { nil: undefined });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('pause' as const), ms: fc.constantFrom(0, 1, 100, 600, 31_000) }),
  fc.record({
    kind: fc.constant('boundary' as const),
    offset: fc.constantFrom(-100, -1, 0, 1, 600_000),
  }),
  fc.record({ kind: fc.constant('expire' as const) }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('acquire' as const), owner, ttl }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('refresh' as const), owner, token, ttl }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), owner, token }) },
);

type Command = Extract<Step, { owner: string }>;
type Outcome = { kind: 'committed'; after: Model; event: string } | { kind: 'denied'; code: string };

/** What the protocol says, in as few words as possible. */
function predict(model: Model, command: Command, now: number): Outcome {
  const { holder, lastToken, version } = model;
  const denied = (code: string): Outcome => ({ kind: 'denied', code });
  const next = version + 1;
  if (command.kind === 'acquire' && holder === undefined) {
    const granted = {
      owner: command.owner,
      token: Math.max(lastToken + 1, now * 1_000),
      since: now,
      end: now + command.ttl,
    };
    return {
      kind: 'committed',
      event: 'acquired',
      after: { version: next, lastToken: granted.token, holder: granted },
    };
  }
  if (holder === undefined) return denied('not_held');
  if (holder.owner !== command.owner) return denied(command.kind === 'acquire' ? 'held' : 'not_holder');
  if (command.kind !== 'acquire' && command.token !== undefined && command.token !== holder.token) {
    return denied('not_holder');
  }
  if (command.kind === 'release') {
    return { kind: 'committed', event: 'released', after: { version: next, lastToken, holder: undefined } };
  }
  const extended = { ...holder, end: now + command.ttl };
  return { kind: 'committed', event: 'acquired', after: { version: next, lastToken, holder: extended } };
}

function stateOf({ owner: owner_id, token: fencing_token, since, end }: NonNullable<Model['holder']>): LockState {
  const [acquired_at, expires_at] = [new Date(since).toISOString(), new Date(end).toISOString()];
  return { owner_id, fencing_token, acquired_at, expires_at };
}

test('tokens of grants strictly grow, no two grants are unexpired, strangers change nothing (I7)', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const lock = scenario(lockManager).at(START);
      let model: Model = { version: 0, lastToken: 0, holder: undefined };
      let now = START;
      let lastToken = 0;
      for (const each of steps) {
        if (each.kind === 'pause' || each.kind === 'boundary') {
          const end = model.holder?.end ?? now;
          now = each.kind === 'pause' ? now + each.ms : Math.max(now, end + each.offset);
          lock.at(now);
          continue;
        }
        if (each.kind === 'expire') {
          // The server is never early.
          if (model.holder === undefined || now < model.holder.end) continue;
          lock.expires();
          model = { ...model, holder: undefined };
          expect(lock.state?.owner_id).toBeNull();
          expect(lock.version).toBe(model.version);
          continue;
        }
        const command = each.kind === 'acquire' ? each : { ...each, token: absolute(each.token, lock.state) };
        const before = { state: lock.state, version: lock.version };
        const expected = predict(model, command, now);
        const { kind, owner: owner_id } = command;
        if (command.kind === 'acquire') lock.when('acquire', { owner_id, ttl_ms: command.ttl });
        else if (command.kind === 'refresh') {
          lock.when('refresh', { owner_id, fencing_token: command.token, ttl_ms: command.ttl });
        } else lock.when('release', { owner_id, fencing_token: command.token });

        if (expected.kind === 'denied') {
          seen.add(`${kind} ${expected.code}`);
          lock.thenRefuses(expected.code, { owner_id, current_owner_id: model.holder?.owner ?? null });
          expect({ state: lock.state, version: lock.version }).toEqual(before);
          continue;
        }
        const { holder, version } = expected.after;
        const state = lock.state as LockState;
        if (holder === undefined) {
          seen.add('release ends');
          lock.thenCommits({ event: 'released', state, version });
          expect(state.owner_id).toBeNull();
        } else {
          lock.thenCommits({ event: 'acquired', state: stateOf(holder), version, expiresAt: holder.end });
          const isGrant = model.holder === undefined;
          seen.add(`${kind} ${isGrant ? 'grants' : 'extends'}`);
          if (isGrant) {
            expect(state.fencing_token).toBeGreaterThan(lastToken);
            lastToken = state.fencing_token;
          }
          expect(state.fencing_token).toBe(lastToken);
        }
        model = expected.after;
      }
    }),
    { numRuns: 500 },
  );
  // The walks went everywhere: a generator that misses a cell proves nothing about it.
  expect([...seen].sort()).toEqual([
    'acquire extends',
    'acquire grants',
    'acquire held',
    'refresh extends',
    'refresh not_held',
    'refresh not_holder',
    'release ends',
    'release not_held',
    'release not_holder',
  ]);
});

/** A token so far from the present one; undefined where that is no token at all. */
function absolute(distance: number | undefined, state: LockState | null): number | undefined {
  if (distance === undefined) return undefined;
  const wanted = (state?.fencing_token ?? 1) + distance;
  return wanted >= 1 ? wanted : undefined;
}
