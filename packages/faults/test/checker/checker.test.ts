import { describe, expect, test } from 'vitest';
import { Checker } from '../../src/checker/checker.ts';
import { INVARIANTS } from '../../src/checker/invariants.ts';
import { Landmarks } from '../../src/checker/landmarks.ts';
import { sameJson } from '../../src/checker/same-json.ts';
import type { Logged, Sent, Told } from '../../src/history.ts';

const created = { name: 'bolt', quantity: 1, reserved: 0, reservations: {} };
const sent: Sent = {
  type: 'sent',
  atMs: 1,
  client: 'ann',
  agent: 'inventory',
  action: 'create',
  commandId: 'c1',
  entityId: 'bolt',
  data: { name: 'bolt', quantity: 1 },
};
const logged: Logged = {
  type: 'logged',
  agent: 'inventory',
  sequence: 1,
  time: '2026-01-31T12:00:00.000Z',
  entityId: 'bolt',
  kind: 'commit',
  event: 'created',
  version: 1,
  state: created,
  commandId: 'c1',
};
const told: Told = {
  type: 'told',
  atMs: 2,
  commandId: 'c1',
  single: true,
  answer: {
    kind: 'committed',
    event: 'evt.inventory.created',
    payload: { entity_id: 'bolt', entity_version: 1, state: created },
  },
};

describe('the checker', () => {
  test.each([
    ['before', [sent, logged, told]],
    ['after', [sent, told, logged]],
    ['before anything else than', [logged, sent, told]],
  ])('takes the log %s the answer', (_, entries) => {
    const checker = new Checker();
    for (const entry of entries) checker.add(entry);
    expect(checker.finish()).toEqual([]);
  });

  test('finds a breach as soon as it shows, and the rest at the end, once', () => {
    const checker = new Checker();
    checker.add(sent);
    checker.add(told);
    checker.add({ ...logged, version: 2 });
    expect(new Set(checker.breaches.map(({ invariant }) => invariant))).toEqual(new Set(['I1', 'I2']));
    const found = checker.finish();
    expect(checker.finish()).toEqual(found);
  });

  test('says in one sentence what was expected and what was found', () => {
    const checker = new Checker();
    checker.add(sent);
    checker.add(told);
    expect(checker.finish()).toEqual([
      {
        invariant: 'I2',
        what: 'c1 was told committed, version 1 of inventory "bolt", but is not in the log',
        history: [sent, told],
      },
    ]);
  });

  test('refuses what no harness may record', () => {
    const checker = new Checker();
    expect(() => checker.add(told)).toThrow('command c1 was answered, but never sent');
    checker.add(sent);
    expect(() => checker.add({ ...sent, data: {} })).toThrow('command c1 was sent twice with other content');
    expect(() => checker.add({ ...sent, commandId: 'c2', agent: 'billing' })).toThrow(
      'the checker knows no agent billing',
    );
  });

  test('counts a refusal of one copy and a commit of another as a limit', () => {
    const checker = new Checker();
    const answer = { kind: 'rejected', event: 'evt.inventory.rejected', payload: { code: 'too_large' } } as const;
    for (const entry of [sent, { ...told, single: false, answer }, logged]) checker.add(entry);
    expect(checker.finish()).toEqual([]);
    expect(checker.knownLimits).toEqual({ 'a copy of a command was refused and another one committed': 1 });
  });

  test('holds a history against the invariants that it is given', () => {
    const checker = new Checker(
      undefined,
      INVARIANTS.filter(({ name }) => name === 'I3'),
    );
    for (const entry of [sent, told]) checker.add(entry);
    expect(checker.finish()).toEqual([]);
  });
});

describe('landmarks', () => {
  test('tell the highest version that was known before a moment', () => {
    const landmarks = new Landmarks();
    for (const [atMs, version] of [
      [1, 1],
      [2, 3],
      [4, 2],
      [3, 4],
      [5, 5],
    ] as const)
      landmarks.add({ atMs, version, told });
    const known = [1, 1.5, 2.5, 3.5, 4.5, 6].map((atMs) => landmarks.before(atMs)?.version);
    expect(known).toEqual([undefined, 1, 3, 4, 4, 5]);
  });

  test('forget what is long ago', () => {
    const landmarks = new Landmarks();
    for (let i = 1; i <= 1_000; i++) landmarks.add({ atMs: i, version: i, told });
    expect(landmarks.before(1_000)?.version).toBe(999);
    expect(landmarks.before(100)).toBeUndefined();
  });
});

describe('sameJson', () => {
  test.each([
    [
      { a: 1, b: [1, { c: null }] },
      { b: [1, { c: null }], a: 1 },
    ],
    [{ a: undefined }, {}],
    [[], []],
  ])('%j says the same as %j', (one, other) => {
    expect(sameJson(one, other)).toBe(true);
    expect(sameJson(other, one)).toBe(true);
  });

  test.each([
    [{ a: 1 }, { a: 2 }],
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: null }, {}],
    [[1], [1, 2]],
    [[], {}],
    [{ toString: 1 }, {}],
    ['1', 1],
    [null, {}],
  ])('%j does not say the same as %j', (one, other) => {
    expect(sameJson(one, other)).toBe(false);
    expect(sameJson(other, one)).toBe(false);
  });
});
