/** Hunts events that a history leaves out, or shows, because of what lies between them: leases that are gone, records, void expiries. */
import { expect, test } from 'vitest';
import { EntityReader } from '../src/nats/entity-reader.ts';
import { entityHistory } from '../src/store/entity-history.ts';
import { SimulatedStream } from './simulated-stream.ts';
import { commandOf, counter, newStore, type Made } from './support/store-history.ts';

/** An entity with a history, and how it is read. */
function counted() {
  const time = { now: 1_000_000 };
  const fires: (number | 'lost')[] = [];
  const stream = new SimulatedStream(() => 'none', false, {
    now: () => time.now,
    nextFire: () => fires.shift() ?? 'lost',
  });
  const store = newStore(stream, { time });
  let sent = 0;
  const send = async (action: Made['action'], times = 1, more: Partial<Made> = {}): Promise<void> => {
    for (let i = 0; i < times; i++) {
      await store.execute(commandOf({ id: `c${++sent}`, entityId: 'a', action, by: 0, ...more }));
    }
  };
  const reader = new EntityReader({ agent: counter, requester: stream, isReplicated: () => false });
  const page = async (limit: number, before = Infinity): Promise<string[]> => {
    const read = await entityHistory(counter, reader, 'a', limit, before);
    if (read.kind !== 'read') return expect.unreachable(read.why);
    return (read.value ?? []).map(({ event, entity_version: version }) => `${event.split('.').at(-1)} ${version}`);
  };
  return { fires, page, send, stream, time };
}

test('a page goes on behind leases that have left the log', async () => {
  const { page, send } = counted();
  await send('create');
  await send('hold', 20);
  await send('count');
  expect(await page(10)).toEqual(['counted 22', 'created 1']);
  expect(await page(3)).toEqual(['counted 22', 'created 1']);
  expect(await page(3, 22)).toEqual(['created 1']);
  expect(await page(1, 10)).toEqual(['created 1']);
});

test('it goes on behind any number of records and of events that changed nothing', async () => {
  const { page, send } = counted();
  await send('create');
  await send('hold');
  for (let i = 1; i <= 70; i++) await send('create', 1, { queued: i });
  await send('note', 40);
  await send('add');
  expect(await page(10)).toEqual(['added 3', 'created 1']);
  expect(await page(10, 3)).toEqual(['created 1']);
});

test('a void expiry is no event of the entity, one that counts is', async () => {
  const { fires, page, send, stream, time } = counted();
  await send('create');
  fires.push(4, 0);
  await send('hold');
  time.now += 400;
  // It is on its way when the lease is renewed, and comes behind that.
  await send('hold');
  await send('note', 5);
  expect(stream.history.map(({ subject }) => subject.split('.').slice(3).join('.'))).toContain('x.expired');
  expect(await page(10)).toEqual(['holding 3', 'created 1']);
  await send('hold');
  time.now += 400;
  await send('create');
  expect(await page(10)).toEqual(['expired 4', 'created 1']);
});

test('an entity that never was has none', async () => {
  const { page, send } = counted();
  await send('add', 1, { queued: 1 });
  expect(await page(10)).toEqual([]);
});
