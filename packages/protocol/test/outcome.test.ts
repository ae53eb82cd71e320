/** Hunts for replies that are read as something they are not, or that make the reader throw. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventSubject, readOutcome, REJECTION_CODES, type Outcome, type ReplyBody } from '../src/index.ts';
import { anyJson, anyName, anyText } from './arbitraries.ts';

const success = { entity_id: 'sku-1', entity_version: 4, state: { quantity: 3 } };
const conflict = { entity_id: 'sku-1', expected_version: 3, current_version: 4, reason: 'why', action: 'adjust' };
const rejected = (code: string) => ({ entity_id: null, action: 'adjust', code, reason: 'why' });
const denied = { entity_id: 'a', owner_id: 'me', code: 'held' };

const kindOf = (event: string, payload: ReplyBody['payload'], replayed = false): Outcome['kind'] | undefined =>
  readOutcome({ event, payload }, replayed)?.kind;

describe('a reply', () => {
  it.each([
    ['malformed', 'evt.inventory.rejected', rejected('invalid_command')],
    ['malformed', 'evt.inventory.rejected', rejected('unknown_action')],
    ['conflict', 'evt.inventory.conflict', conflict],
    ['rejected', 'evt.inventory.rejected', rejected('not_found')],
    ['rejected', 'evt.inventory.rejected', rejected('already_exists')],
    ['rejected', 'evt.inventory.rejected', rejected('too_large')],
    ['rejected', 'evt.inventory.rejected', rejected('decided_before')],
    ['rejected', 'evt.inventory.rejected', rejected('insufficient_stock')],
    ['rejected', 'evt.inventory.rejected', rejected('constructor')],
    ['denied', 'evt.lock.denied', denied],
    ['unavailable', 'evt.inventory.rejected', rejected('unavailable')],
    ['unavailable', 'evt.inventory.rejected', rejected('contended')],
    ['committed', 'evt.inventory.adjusted', success],
    ['committed', 'evt.inventory.deleted', { ...success, state: null }],
    ['committed', 'evt.lock.acquired', success],
  ])('is read as %s from %s', (kind, event, payload) => {
    const outcome = readOutcome({ event, payload }, false);
    expect(outcome).toEqual({ kind, event, payload });
  });

  it('is a replay where its header says so, and only for a success', () => {
    expect(kindOf('evt.inventory.adjusted', success, true)).toBe('replayed');
    expect(kindOf('evt.inventory.conflict', conflict, true)).toBe('conflict');
    expect(kindOf('evt.inventory.rejected', rejected('not_found'), true)).toBe('rejected');
    expect(kindOf('evt.lock.denied', denied, true)).toBe('denied');
  });

  it('of every code that MeshForge has is understood', () => {
    for (const code of REJECTION_CODES) expect(kindOf('evt.inventory.rejected', rejected(code))).toBeDefined();
  });

  it.each([
    ['another subject', 'cmd.inventory.adjust', success],
    ['no subject', '', success],
    ['an entity subject', 'ent.inventory.a.adjusted', success],
    ['a success without a version', 'evt.inventory.adjusted', { entity_id: 'a', state: {} }],
    ['a success at version 0', 'evt.inventory.adjusted', { ...success, entity_version: 0 }],
    ['a success whose state is a list', 'evt.inventory.adjusted', { ...success, state: [] }],
    ['a conflict in the form of a success', 'evt.inventory.conflict', success],
    ['a refusal without a code', 'evt.inventory.rejected', conflict],
  ])('with %s is none', (_, event, payload) => {
    expect(readOutcome({ event, payload }, false)).toBeUndefined();
  });

  it('of a later version with more keys is still read', () => {
    expect(kindOf('evt.inventory.adjusted', { ...success, shard: 7 })).toBe('committed');
    expect(kindOf('evt.inventory.conflict', { ...conflict, shard: 7 })).toBe('conflict');
  });

  it('never makes the reader throw, and never commits without a version', () => {
    const events = fc.oneof(
      anyText,
      fc.tuple(anyName, fc.oneof(anyName, fc.constantFrom('conflict', 'rejected', 'denied'))).map(([agent, event]) => {
        return eventSubject(agent, event);
      }),
    );
    const payloads = fc.dictionary(
      fc.oneof(fc.constantFrom('entity_id', 'entity_version', 'state', 'code', 'reason', 'action'), anyText),
      anyJson,
    );
    fc.assert(
      fc.property(events, payloads, fc.boolean(), (event, payload, replayed) => {
        const outcome = readOutcome({ event, payload }, replayed);
        const committed = outcome?.kind === 'committed' || outcome?.kind === 'replayed';
        expect(committed ? outcome.payload.entity_version : 1).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 2_000 },
    );
  });
});
