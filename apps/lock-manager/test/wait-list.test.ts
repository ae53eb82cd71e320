/** Hunts a wait list that parts ways with a plain list of names: places lost, doubled, out of order, or too long for a header. */
import { LIMITS, LOCK_LIMITS } from '@meshforge/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  commandKey,
  end,
  inTime,
  isTooLong,
  join,
  ownerKey,
  passOver,
  positionOf,
  readWaitList,
  waitersIn,
  without,
  writeWaitList,
  type Place,
  type WaitList,
} from '../src/wait-list.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');

const owner = fc.constantFrom('ann', 'bob', 'cy', 'dee', 'eve');
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('come' as const), owner, ago: fc.nat(50), wait: fc.nat(300) }),
  },
  fc.record({ kind: fc.constant('go' as const), owner }),
  fc.record({ kind: fc.constant('cancel' as const), owner }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('grant' as const), owner }) },
  fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(120) }),
);

interface Waiting {
  owner: string;
  command: string;
  since: number;
  until: number;
  passed: number;
}

const placeOf = ({ owner: name, command, since, until, passed }: Waiting): Place => ({
  owner: ownerKey(name),
  command: commandKey(command),
  since,
  until,
  status: passed > 0 ? 'passed' : 'waiting',
});

test('a wait list is the list of those who wait, by when they came; who is passed twice waits no more', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      let now = NOON;
      let notes = '';
      let model: Waiting[] = [];
      for (const [index, each] of steps.entries()) {
        if (each.kind === 'pass') now += each.ms;
        let list: WaitList = inTime(readWaitList(notes), now);
        model = model.filter(({ until }) => until > now);
        if (each.kind === 'come') {
          const command = `command-${index}`;
          const place = { owner: ownerKey(each.owner), command: commandKey(command) };
          list = join(list, { ...place, since: now - each.ago, until: now + each.wait });
          const before = model.find((waiting) => waiting.owner === each.owner);
          const since = before?.since ?? now - each.ago;
          model = model.filter((waiting) => waiting !== before);
          const ahead = model.filter((waiting) => waiting.since <= since).length;
          model.splice(ahead, 0, { owner: each.owner, command, since, until: now + each.wait, passed: 0 });
        } else if (each.kind === 'cancel') {
          list = end(list, ownerKey(each.owner));
          model = model.filter((waiting) => waiting.owner !== each.owner);
        } else if (each.kind === 'go') {
          const gone = model.find((waiting) => waiting.owner === each.owner);
          if (gone !== undefined) list = without(list, ownerKey(gone.owner), commandKey(gone.command));
          model = model.filter((waiting) => waiting.owner !== each.owner);
        } else if (each.kind === 'grant') {
          list = end(passOver(list, ownerKey(each.owner)), ownerKey(each.owner));
          const at = model.findIndex((waiting) => waiting.owner === each.owner);
          for (const waiting of at === -1 ? model : model.slice(0, at)) waiting.passed++;
          model = model.filter((waiting) => waiting.owner !== each.owner && waiting.passed < 2);
        }
        notes = writeWaitList(list);
        expect(waitersIn(list)).toEqual(model.map(placeOf));
        expect(waitersIn(readWaitList(notes))).toEqual(waitersIn(list));
        for (const name of ['ann', 'bob', 'nobody']) {
          expect(positionOf(list, ownerKey(name))).toBe(model.findIndex((waiting) => waiting.owner === name));
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('as many as may wait fit into the notes, for centuries, whatever has become of them', () => {
  let list: WaitList = [];
  const since = Date.parse('2300-01-01T00:00:00.000Z');
  const place = (i: number): Omit<Place, 'status'> => ({
    owner: ownerKey(`owner-${i}`),
    command: commandKey(`command-${i}`),
    since,
    until: since + LOCK_LIMITS.maxWaitMs,
  });
  for (let i = 0; i < LOCK_LIMITS.maxWaiters; i++) {
    list = join(list, place(i));
    expect(isTooLong(list)).toBe(false);
  }
  expect(isTooLong(join(list, place(LOCK_LIMITS.maxWaiters)))).toBe(true);
  for (let i = 0; i < 100; i++) {
    const again = join(list, { ...place(i), command: commandKey(`again-${i}`) });
    expect(isTooLong(again)).toBe(false);
    expect(writeWaitList(passOver(again, 'nobody')).length).toBeLessThanOrEqual(LIMITS.noteBytes);
    list = again;
  }
  // Today it is less.
  const short = waitersIn(list).map((each) => ({ ...each, since: NOON, until: NOON + LOCK_LIMITS.maxWaitMs }));
  expect(writeWaitList(short).length / LOCK_LIMITS.maxWaiters).toBeLessThan(30);
});
