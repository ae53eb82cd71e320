/** Hunts scenarios that forget, between their steps, what a lease has shown the entity. */
import { expect, test } from 'vitest';
import { scenario } from '../src/testing.ts';
import { guarded } from './integration/guarded.ts';

const job = (fencingToken: number) => ({ lease: { resource: 'job', fencingToken } });

test('a scenario guards its entity with the leases of its steps, also over a delete and the end of a lease', () => {
  const steps = scenario(guarded)
    .when('open', {}, job(4))
    .thenCommits({ event: 'opened', state: { n: 0, kept: false } })
    .when('add', { by: 1 }, job(3))
    .thenRefuses('stale_token')
    .when('add', { by: 1 }, { ...job(3), expectedVersion: 7 })
    .thenRefuses('stale_token')
    .when('add', { by: 1 }, { ...job(4), expectedVersion: 7 })
    .thenConflicts(1)
    .when('sign', {})
    .thenRefuses('lease_required')
    .when('seal', { seal: 'wax' }, job(5))
    .thenRefuses('lease_required')
    .when('seal', { seal: 'wax' }, { lease: { resource: 'wax of entity', fencingToken: 1 } })
    .thenCommits({ event: 'sealed', state: { n: 1, kept: false } })
    .when('close', {})
    .thenCommits({ event: 'closed', state: null })
    .when('open', {}, job(3))
    .thenRefuses('stale_token');
  steps.when('keep', { ms: 1_000 }, job(6)).expires().when('add', { by: 1 }, job(5)).thenRefuses('stale_token');
  expect(steps.version).toBe(4);
});
