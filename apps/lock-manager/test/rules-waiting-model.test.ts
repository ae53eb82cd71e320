/**
 * Hunts a history of commands, waits, cancels and pauses after which the rules of waiting and a plain model part ways: somebody
 * granted out of turn, a command granted that was cancelled or had given way, a place lost.
 */
import { LOCK_LIMITS } from '@meshforge/protocol';
import { scenario } from '@meshforge/runtime/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lockManager } from '../src/index.ts';
import { commandKey } from '../src/wait-list.ts';

const START = Date.parse('2000-01-01T12:00:00.000Z');
const TTL = 5_000;
const TAKE_UP = 700;

const owner = fc.constantFrom('ann', 'bob', 'cy', 'dee');
const step = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('pause' as const), ms: fc.constantFrom(1, 400, 1_999, 2_000) }),
  },
  fc.record({ kind: fc.constant('expire' as const) }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('acquire' as const), owner }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      owner,
      ms: fc.constantFrom(300, 3_000, 60_000),
      ago: fc.nat(3),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('grant' as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('first' as const) }) },
  fc.record({ kind: fc.constant('copy' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('leave' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('cancel' as const), owner }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const) }) },
);

interface Place {
  owner: string;
  id: string;
  since: number;
  until: number;
  status: 'waiting' | 'passed' | 'ended';
}

/** A lock and those who wait for it, in as few words as possible. */
class Model {
  now = START;
  holder: { owner: string; end: number } | undefined;
  freeSince: number | undefined;
  places: Place[] = [];

  waiting(): Place[] {
    return this.places.filter(({ status, until }) => status !== 'ended' && until > this.now);
  }

  isLongFree(): boolean {
    return this.freeSince !== undefined && this.now - this.freeSince >= LOCK_LIMITS.passOverMs;
  }

  /** What a lock says that is asked for by an owner. */
  ask(name: string): 'granted' | 'extended' | 'held' {
    if (this.holder !== undefined) return this.holder.owner === name ? 'extended' : 'held';
    const [first] = this.waiting();
    return first === undefined || first.owner === name || this.isLongFree() ? 'granted' : 'held';
  }

  /** An owner has the lock by a command. */
  take(name: string, id: string, how: 'granted' | 'extended'): number {
    const waiting = this.waiting();
    const at = waiting.findIndex((place) => place.owner === name);
    const before = how === 'extended' ? [] : at === -1 ? waiting : waiting.slice(0, at);
    const twice = before.filter(({ status }) => status === 'passed');
    for (const place of before) place.status = 'passed';
    for (const place of this.places) if (place.owner === name) place.status = 'ended';
    this.places = this.places.filter((place) => place.id !== id && !twice.includes(place));
    this.write();
    const ms = how === 'granted' && at !== -1 ? TAKE_UP : TTL;
    this.holder = { owner: name, end: this.now + ms };
    this.freeSince = undefined;
    return this.now + ms;
  }

  /** Who writes the list leaves out what is over. */
  write(): void {
    this.places = this.places.filter(({ until }) => until > this.now);
    const ended = this.places.filter(({ status }) => status === 'ended').slice(-16);
    this.places = this.places.filter((place) => place.status !== 'ended' || ended.includes(place));
  }

  wait(name: string, id: string, since: number, until: number): void {
    const own = this.waiting().find((place) => place.owner === name);
    for (const place of this.places) if (place.owner === name) place.status = 'ended';
    this.write();
    const mine: Place = { owner: name, id, since: own?.since ?? since, until, status: 'waiting' };
    const behind = this.places.findIndex((place) => place.since > mine.since);
    this.places.splice(behind === -1 ? this.places.length : behind, 0, mine);
    this.write();
  }
}

test('who waits is granted the lock in turn, once, and never after the wait has ended', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const lock = scenario(lockManager).at(START).when('acquire', { owner_id: 'eve', ttl_ms: TTL });
      const model = new Model();
      model.take('eve', 'command-0', 'granted');
      const commands: { id: string; owner: string }[] = [];
      /** What has become of a command for good. */
      const over = new Map<string, string>();

      const grant = ({ id, owner: name }: { id: string; owner: string }): void => {
        const data = {
          owner_id: name,
          ttl_ms: TTL,
          take_up_ms: TAKE_UP,
          command: commandKey(id),
          otherwise: 'held',
        } as const;
        lock.when('grant', data, { commandId: id });
        const place = model.places.find((each) => each.id === id);
        if (over.get(id) === 'granted') {
          seen.add('replayed');
          return;
        }
        if (place === undefined || place.status === 'ended') {
          const code = place === undefined ? 'held' : 'cancelled';
          lock.thenRefuses(code, { owner_id: name });
          seen.add(`grant ${code}`);
          over.set(id, code);
          return;
        }
        expect(over.get(id)).toBeUndefined();
        const answer = place.until > model.now ? model.ask(name) : 'held';
        if (answer === 'held') {
          lock.thenRefuses('waits');
          seen.add('grant waits');
          return;
        }
        if (model.waiting()[0] !== place) seen.add(`${answer} past others`);
        const expiresAt = model.take(name, id, answer);
        lock.thenCommits({ event: 'acquired', state: lock.state, expiresAt });
        expect(lock.state?.owner_id).toBe(name);
        over.set(id, 'granted');
        seen.add(`grant ${answer}`);
      };

      for (const [index, each] of steps.entries()) {
        const command = 'which' in each ? commands[each.which % commands.length] : undefined;
        switch (each.kind) {
          case 'pause':
            model.now += each.ms;
            lock.at(model.now);
            break;
          case 'expire':
            if (model.holder === undefined || model.now < model.holder.end) break;
            model.freeSince = model.holder.end;
            model.holder = undefined;
            lock.expires();
            break;
          case 'release':
            if (model.holder === undefined) break;
            lock.when('release', { owner_id: model.holder.owner });
            model.freeSince = model.now;
            model.holder = undefined;
            break;
          case 'acquire': {
            const id = `acquire-${index}`;
            lock.when('acquire', { owner_id: each.owner, ttl_ms: TTL, take_up_ms: TAKE_UP }, { commandId: id });
            const answer = model.ask(each.owner);
            seen.add(`acquire ${answer}`);
            if (answer === 'held') lock.thenRefuses('held', { waiters: model.waiting().length || undefined });
            else {
              const expiresAt = model.take(each.owner, id, answer);
              lock.thenCommits({ event: 'acquired', state: lock.state, expiresAt });
            }
            break;
          }
          case 'wait': {
            const id = `wait-${index}`;
            const times = { since: model.now - each.ago, until: model.now + each.ms };
            lock.when('wait', { owner_id: each.owner, command: commandKey(id), ...times });
            model.wait(each.owner, id, times.since, times.until);
            commands.push({ id, owner: each.owner });
            const waiters = model.waiting();
            const position = waiters.findIndex((place) => place.id === id) + 1;
            lock.thenCommits({
              event: 'queued',
              state: lock.state,
              data: {
                owner_id: each.owner,
                position,
                waiters: waiters.length,
                until: new Date(times.until).toISOString(),
              },
            });
            break;
          }
          case 'copy': {
            const place = model.places.find(({ id, until }) => id === command?.id && until > model.now);
            if (place === undefined) break;
            const again = { since: model.now, until: model.now + 60_000 };
            lock.when('wait', { owner_id: place.owner, command: commandKey(place.id), ...again }).thenRefuses('waits');
            break;
          }
          case 'grant':
            if (command !== undefined) grant(command);
            break;
          case 'first': {
            const [first] = model.waiting();
            if (first !== undefined) grant(first);
            break;
          }
          case 'leave': {
            if (command === undefined) break;
            lock.when('leave', { owner_id: command.owner, command: commandKey(command.id) });
            const place = model.places.find(({ id, status }) => id === command.id && status !== 'ended');
            if (place === undefined) lock.thenRefuses('not_waiting');
            else {
              model.places = model.places.filter((other) => other !== place);
              model.write();
              const data = { owner_id: place.owner, waiters: model.waiting().length };
              lock.thenCommits({ event: 'left', state: lock.state, data });
            }
            break;
          }
          case 'cancel': {
            lock.when('cancel', { owner_id: each.owner });
            if (model.waiting().every((place) => place.owner !== each.owner)) lock.thenRefuses('not_waiting');
            else {
              for (const place of model.places) if (place.owner === each.owner) place.status = 'ended';
              model.write();
              const data = { owner_id: each.owner, waiters: model.waiting().length };
              lock.thenCommits({ event: 'cancelled', state: lock.state, data });
            }
          }
        }
      }
    }),
    { numRuns: 1_000 },
  );
  // The walks went everywhere: a generator that misses a cell proves nothing about it.
  expect([...seen].sort()).toEqual([
    'acquire extended',
    'acquire granted',
    'acquire held',
    'extended past others',
    'grant cancelled',
    'grant extended',
    'grant granted',
    'grant held',
    'grant waits',
    'granted past others',
    'replayed',
  ]);
});
