/** Hunts replicas that are chosen though they are gone or stand still, and commands on one entity that go to several. */
import type { Msg } from '@nats-io/nats-core';
import { describe, expect, test } from 'vitest';
import { Replicas } from '../src/client/replicas.ts';
import type { Clock } from '../src/clock.ts';

/** A client's view of an agent whose replicas answer as the test wants. */
function world(ids: readonly string[]) {
  const time = { now: 0 };
  const present = new Set(ids);
  let hear: (message: Msg) => void = () => {};
  const clock: Clock = {
    wall: () => time.now,
    monotonic: () => time.now,
    sleep: () => Promise.resolve(),
    random: () => 0.5,
  };
  const connection = {
    subscribe: (_subject: string, options: { callback: (error: null, message: Msg) => void }) => {
      hear = (message) => options.callback(null, message);
    },
    publish: (_subject: string, _data: Uint8Array, { reply = '' } = {}) => {
      for (const id of present) hear({ subject: reply, json: () => ({ id }) } as unknown as Msg);
      hear({ subject: reply, json: () => ({ id: 'forged.>' }) } as unknown as Msg);
    },
  };
  const replicas = new Replicas(connection as never, '_INBOX', clock);
  return { present, replicas, time };
}

const entities = Array.from({ length: 600 }, (_, i) => `item-${i}`);

describe('the replica for the first try', () => {
  test('is the same for each command on an entity, and each replica gets its share of the entities', () => {
    const { replicas } = world(['A', 'B', 'C']);
    const chosen = entities.map((entity) => replicas.choose('inventory', entity));
    expect(entities.map((entity) => replicas.choose('inventory', entity))).toEqual(chosen);
    for (const id of ['A', 'B', 'C']) expect(chosen.filter((one) => one === id).length).toBeGreaterThan(100);
  });

  test('is nobody while fewer than two are known', () => {
    expect(world([]).replicas.choose('inventory', 'e')).toBeUndefined();
    expect(world(['A']).replicas.choose('inventory', 'e')).toBeUndefined();
  });

  test('stays where it was for entities of replicas that stay, when another one comes or goes', () => {
    const { present, replicas, time } = world(['A', 'B']);
    const before = new Map(entities.map((entity) => [entity, replicas.choose('inventory', entity)]));
    present.add('C');
    time.now += 6_000;
    replicas.choose('inventory', 'e');
    const moved = entities.filter((entity) => replicas.choose('inventory', entity) !== before.get(entity));
    expect(moved.every((entity) => replicas.choose('inventory', entity) === 'C')).toBe(true);
    expect(moved.length).toBeLessThan(entities.length / 2);
    present.delete('C');
    for (let i = 0; i < 4; i++) {
      time.now += 6_000;
      replicas.choose('inventory', 'e');
    }
    expect(entities.map((entity) => replicas.choose('inventory', entity))).toEqual([...before.values()]);
  });

  test('is another one for a while after it did not answer', () => {
    const { replicas, time } = world(['A', 'B']);
    const first = replicas.choose('inventory', 'e') as string;
    replicas.suspect('inventory', first);
    expect(replicas.choose('inventory', 'e')).not.toBe(first);
    time.now += 5_000;
    expect(replicas.choose('inventory', 'e')).toBe(first);
  });

  test('is never one of another agent', () => {
    const { replicas } = world(['A', 'B']);
    replicas.choose('inventory', 'e');
    replicas.suspect('orders', 'A');
    expect(replicas.choose('inventory', 'e')).toBeDefined();
  });
});
