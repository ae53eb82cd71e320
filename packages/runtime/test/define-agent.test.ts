/** Hunts definitions that could not be spoken on the wire, or that compile although they are wrong. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { commit, defineAgent } from '../src/core/agent.ts';

const state = z.object({ n: z.int() });
const create = {
  description: 'makes one',
  data: z.object({ start: z.int().default(0) }),
  event: 'created',
  entity: 'absent',
  rule: (_none: null, { start }: { start: number }) => ({ n: start }),
} as const;

describe('an agent is refused', () => {
  test.each(['', 'Counter', 'a.b', 'a b', '1a', 'a'.repeat(65), 'lock', '*', '>'])('under the name %j', (name) => {
    expect(() => defineAgent({ name, state, actions: { create } })).toThrow(RangeError);
  });

  test.each(['conflict', 'rejected', 'denied', 'a.b', ''])('with an event named %j', (event) => {
    expect(() => defineAgent({ name: 'counter', state, actions: { create: { ...create, event } } })).toThrow(
      RangeError,
    );
  });

  test('with an action that no subject can carry, or none', () => {
    expect(() => defineAgent({ name: 'counter', state, actions: { 'do.it': create } })).toThrow(/do\.it/);
    expect(() => defineAgent({ name: 'counter', state, actions: {} })).toThrow(/no actions/);
  });

  test('when an action uses the expiry event', () => {
    const lease = { expiryEvent: 'created', events: ['created'], expire: () => null };
    expect(() => defineAgent({ name: 'counter', state, actions: { create }, lease })).toThrow(/expiry event/);
  });
});

test('rules are typed by state, data and presence; a wrong one does not compile', () => {
  const description = '';
  const data = z.object({ by: z.int() });
  defineAgent({
    name: 'counter',
    state,
    actions: {
      create,
      add: { description, data, event: 'added', entity: 'present', rule: ({ n }, { by }) => ({ n: n + by }) },
      put: {
        description,
        data,
        event: 'put',
        entity: 'any',
        rule: (before, { by }, { now }) => commit({ n: (before?.n ?? 0) + by }, { expiresAt: now + 500 }),
      },
      under_a_lease: { data, event: 'x', entity: 'present', requiresLease: true, rule: (before) => before },
      under_one_lease: {
        data,
        event: 'x',
        entity: 'present',
        requiresLease: ({ entityId, data: { by } }) => `${entityId} ${by}`,
        rule: (before) => before,
      },
      // @ts-expect-error -- the data has no such key
      wrong_lease: { data, event: 'x', entity: 'present', requiresLease: ({ data: { to } }) => to, rule: (old) => old },
      // @ts-expect-error -- the state's n is a number
      wrong_state: { description, data, event: 'x', entity: 'present', rule: (_state, { by }) => ({ n: String(by) }) },
      // @ts-expect-error -- the data has no such key
      wrong_data: { description, data, event: 'x', entity: 'present', rule: ({ n }, { to }) => ({ n: n + to }) },
      // @ts-expect-error -- with "any", there may be no state
      no_state: { description, data, event: 'x', entity: 'any', rule: ({ n }) => ({ n }) },
      // @ts-expect-error -- rules are synchronous
      later: { description, data, event: 'x', entity: 'present', rule: async ({ n }) => ({ n }) },
    },
  });
});
