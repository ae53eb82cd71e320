// Hunts: false alarms after an operator has taken data away, and a checker that excuses more than that.
import { expect, test } from 'vitest';
import { Checker } from '../../src/checker/checker.ts';
import type { Entry, Logged, Sent } from '../../src/history.ts';

const START = Date.parse('2026-01-31T12:00:00.000Z');
const at = (ms: number): string => new Date(START + ms).toISOString();

let clock = 0;

function sent(commandId: string, more: Partial<Sent> = {}): Sent {
  const command = { agent: 'inventory', action: 'adjust', entityId: 'source 1', data: { delta: 1 } };
  return { type: 'sent', atMs: ++clock, client: 'ann', commandId, ...command, ...more };
}

function made(commandId: string, sequence: number, version: number, more: Partial<Logged> = {}): Logged {
  const state = { name: 'bolt', quantity: version, reserved: 0, reservations: {} };
  const place = { type: 'logged', agent: 'inventory', sequence, time: at(sequence), entityId: 'source 1' } as const;
  const event = version === 1 ? 'created' : 'adjusted';
  const data = version === 1 ? {} : { data: { delta: 1 } };
  return { ...place, kind: 'commit', event, version, state, ...data, commandId, ...more };
}

function told(commandId: string, { entityId, event, state, version, data }: Logged): Entry {
  const payload = { entity_id: entityId, entity_version: version, state, ...(data && { data }) };
  const answer = { kind: 'committed', event: `evt.inventory.${event}`, payload } as const;
  return { type: 'told', atMs: ++clock, commandId, single: true, answer };
}

function breachesOf(entries: readonly Entry[]): string[] {
  const checker = new Checker();
  for (const entry of entries) checker.add(entry);
  // That nothing follows the source is not what these tests are about.
  return checker
    .finish()
    .flatMap(({ invariant, what }) => (invariant === 'reactions' ? [] : [`${invariant}: ${what}`]));
}

const create = sent('c1', { action: 'create', data: { name: 'bolt', quantity: 1 } });
const [first, second, third] = [made('c1', 1, 1), made('c2', 2, 2), made('c3', 3, 3)];
const history = [
  create,
  first,
  told('c1', first),
  sent('c2'),
  second,
  told('c2', second),
  sent('c3'),
  third,
  told('c3', third),
];
const restored: Entry = { type: 'taken', agent: 'inventory', what: 'tail', sequence: 1 };

test('a log that was restored goes on from where its backup ended', () => {
  const again = made('c4', 2, 2);
  expect(breachesOf([...history, restored, sent('c4'), again, told('c4', again)])).toEqual([]);
});

test('what was lost with the tail may be committed once more', () => {
  expect(breachesOf([...history, restored, { ...made('c3', 2, 2) }, sent('c3')])).toEqual([]);
});

test('it does not go on from where it was before the restoration', () => {
  const stale = made('c4', 2, 4);
  expect(breachesOf([...history, restored, sent('c4'), stale])).toContain(
    'I1: inventory "source 1" has version 4 directly after version 1',
  );
});

test('without a restoration the same is a breach', () => {
  const again = made('c4', 4, 2);
  expect(breachesOf([...history, sent('c4'), again, told('c4', again)])).not.toEqual([]);
});

test.each([true, false])(
  'a command that is stored and never decided is a breach, unless its queue was lost (%s)',
  (isLost) => {
    const durable = sent('d1', { durable: {} });
    const stored: Entry = { type: 'queued', atMs: ++clock, commandId: 'd1', as: 'stored' };
    const lost: Entry = { type: 'taken', agent: 'inventory', what: 'queue' };
    const found = breachesOf([...history, durable, stored, ...(isLost ? [lost] : [])]);
    expect(found.map((each) => each.split(':')[0])).toEqual(isLost ? [] : ['durable-commands']);
  },
);

const purged: Entry = { type: 'taken', agent: 'lock', what: 'entity', entityId: 'l' };

function grant(commandId: string, sequence: number, version: number, token: number): Entry[] {
  const data = { owner_id: commandId, ttl_ms: 60_000 };
  const [acquired_at, expires_at] = [at(sequence), at(sequence + 60_000)];
  const state = { owner_id: commandId, fencing_token: token, acquired_at, expires_at };
  const entry = made(commandId, sequence, version, { agent: 'lock', entityId: 'l', event: 'acquired', state });
  const { data: _data, ...lease } = entry;
  return [sent(commandId, { agent: 'lock', action: 'acquire', entityId: 'l', data }), lease];
}

const token = (sequence: number): number => (START + sequence) * 1_000;

test('the versions of a purged lock begin anew, and its lease is over', () => {
  expect(breachesOf([...grant('ann', 1, 1, token(1)), purged, ...grant('bob', 2, 1, token(2))])).toEqual([]);
});

test('what was purged does not come back when the log is restored', () => {
  const back: Entry = { ...restored, agent: 'lock', sequence: 2 };
  expect(breachesOf([...grant('ann', 1, 1, token(1)), purged, ...grant('bob', 2, 1, token(2)), back])).toEqual([]);
});

test('its tokens do not', () => {
  const [, early] = grant('bob', 2, 1, token(1) - 1);
  const found = breachesOf([...grant('ann', 1, 1, token(1)), purged, ...grant('bob', 2, 1, token(1) - 1)]);
  expect(early).toBeDefined();
  expect(found.filter((each) => each.startsWith('I7'))).toHaveLength(1);
});

test('without a purge a lock that begins anew is a breach', () => {
  expect(breachesOf([...grant('ann', 1, 1, token(1)), ...grant('bob', 2, 1, token(2))])).not.toEqual([]);
});
