// Hunts a lease that lives on after its end, because of what was on its way when it ended.
import { expect, test } from 'vitest';
import { Checker } from '../../src/checker/checker.ts';
import { keyOfCommand, keyOfOwner } from '../../src/checker/queue.ts';
import type { Logged, Sent } from '../../src/history.ts';

const START = Date.parse('2026-01-31T12:00:00.000Z');
const at = (ms: number): string => new Date(START + ms).toISOString();

function acquire(client: string, wait: object = {}): Sent {
  const data = { owner_id: client, ttl_ms: 1_000, ...wait };
  return { type: 'sent', atMs: 1, client, agent: 'lock', action: 'acquire', commandId: client, entityId: 'l', data };
}

function waits(owner: string): string {
  return `${keyOfOwner(owner)}.${keyOfCommand(owner)}.${(START + 900).toString(36)}.${(5_000).toString(36)}`;
}

function logged(sequence: number, ms: number, event: string, more: Partial<Logged>): Logged {
  const state = { owner_id: 'ann', fencing_token: START * 1_000, acquired_at: at(0), expires_at: at(1_000) };
  const place = { type: 'logged', agent: 'lock', sequence, time: at(ms), entityId: 'l', version: 1 } as const;
  return { ...place, kind: 'commit', event, state, commandId: 'ann', ...more };
}

function queued(sequence: number, ms: number, owner: string, position: number, notes: string): Logged {
  const data = { owner_id: owner, position, waiters: position, until: at(5_900) };
  const keeps = `acquired 1 ${START + 1_000}`;
  const own = { kind: 'unchanged', commandId: `agent.${sequence}`, causedBy: owner, keeps } as const;
  return logged(sequence, ms, 'queued', { data, notes, ...own });
}

const history = [
  acquire('ann'),
  acquire('bob', { wait_ms: 5_000 }),
  acquire('eve', { wait_ms: 5_000 }),
  logged(1, 1, 'acquired', {}),
  logged(2, 1_001, 'expired', { kind: 'expiry' }),
  queued(3, 1_002, 'bob', 1, waits('bob')),
];

test('a change of the queue that was on its way when the lease ended is a limit', () => {
  const checker = new Checker();
  for (const entry of history) checker.add(entry);
  expect(checker.finish()).toEqual([]);
  expect(checker.knownLimits).toEqual({ 'a lease ended while a change of its queue was on its way': 1 });
});

test('it revives nothing: a further one that says so is a breach', () => {
  const checker = new Checker();
  const revived = queued(4, 1_500, 'eve', 2, `${waits('bob')} ${waits('eve')}`);
  for (const entry of [...history, revived]) checker.add(entry);
  const found = checker.finish().filter(({ invariant }) => invariant === 'I1');
  expect(found.flatMap(({ history: shown }) => shown)).toContain(revived);
});
