/**
 * Hunts for subjects with too few or too many tokens, for names that escape their place, and for subjects that mean two
 * things. Nothing a caller sends may reach a subject unencoded.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  agentToken,
  commandSubject,
  commandWildcard,
  delayedCommandSubject,
  entityEventFilter,
  entityFilter,
  entityStream,
  entitySubject,
  entityWildcard,
  eventSubject,
  eventWildcard,
  isName,
  parseSubject,
  QUERY_KINDS,
  queuedCommandSubject,
  querySubject,
  probeSubject,
  queryWildcard,
  recordSubject,
  REPUBLISH,
  SIGNALS_SUBJECTS,
  type ParsedSubject,
  type QueryKind,
  type Slot,
} from '../src/index.ts';
import { anyName, anyText } from './arbitraries.ts';

const notAName = anyText.filter((text) => !isName(text) && text !== '*');

const anySlot: fc.Arbitrary<Slot> = fc.oneof(fc.maxSafeNat(), fc.constant('x' as const), fc.constant(0));

describe('a subject with an entity id', () => {
  it('keeps its prefix and its tokens, whatever the id, and is under the filter of its entity', () => {
    fc.assert(
      fc.property(anyName, anyText, anySlot, anyName, (agent, entityId, slot, event) => {
        const subject = entitySubject(agent, entityId, slot, event);
        const tokens = subject.split('.');
        expect(tokens).toHaveLength(5);
        expect(tokens.slice(0, 2)).toEqual(['ent', agentToken(agent)]);
        expect(tokens[2]).toMatch(/^[A-Za-z0-9_%-]+$/);
        expect(tokens.slice(3)).toEqual([String(slot), event]);
        // The compare-and-set names the filter of the very subject that is written.
        const entity = tokens.slice(0, 3).join('.');
        expect(entityFilter(agent, entityId)).toBe(`${entity}.>`);
        expect(recordSubject(agent, entityId)).toBe(`${entity}.refused`);
      }),
      { numRuns: 1_000 },
    );
  });

  it('fits the control line of the server at the longest id, slot and names', () => {
    const long = 'a'.repeat(64);
    expect(entitySubject(long, '😀'.repeat(256), Number.MAX_SAFE_INTEGER, long).length).toBeLessThan(3_300);
  });

  it.each([-1, 0.5, NaN, 2 ** 53, '1', '*', 'y', undefined])('has no slot %j', (slot) => {
    expect(() => entitySubject('inventory', 'e', slot as Slot, 'created')).toThrow(
      /is no slot: expected x, 0 or a version/,
    );
  });
});

describe('a name', () => {
  it('is refused by every subject when it is none', () => {
    fc.assert(
      fc.property(notAName, (text) => {
        for (const build of [
          () => agentToken(text),
          () => commandSubject(text, 'get'),
          () => commandSubject('inventory', text),
          () => commandWildcard(text),
          () => querySubject(text, 'get'),
          () => querySubject('inventory', text as QueryKind),
          () => queryWildcard(text),
          () => eventSubject(text, 'created'),
          () => eventSubject('inventory', text),
          () => eventWildcard(text),
          () => entitySubject(text, 'e', 0, 'created'),
          () => entitySubject('inventory', 'e', 0, text),
          () => recordSubject(text, 'e'),
          () => probeSubject(text),
          () => entityFilter(text, 'e'),
          () => entityWildcard(text),
          () => entityStream(text),
          () => entityEventFilter(text, '*'),
          () => entityEventFilter('inventory', text),
        ]) {
          expect(build).toThrow(RangeError);
        }
      }),
    );
  });

  it.each(['', 'A', '1a', '_a', 'a-b', 'a.b', 'a ', 'a\n', 'é', 'a'.repeat(65), '*', '>'])('is not %j', (text) => {
    expect(isName(text)).toBe(false);
  });

  it.each(['a', 'a1_', 'a'.repeat(64), 'constructor'])('may be %s', (text) => {
    expect(isName(text)).toBe(true);
  });

  it.each([undefined, null, true, ['a']])('is not %j, as a caller without a compiler could say', (value) => {
    expect(isName(value as never)).toBe(false);
    expect(() => commandSubject('inventory', value as never)).toThrow(RangeError);
  });

  it('that every object inherits is a name like any other', () => {
    expect(agentToken('constructor')).toBe('constructor');
    expect(commandSubject('constructor', 'constructor')).toBe('cmd.constructor.constructor');
  });

  it('is quoted in the refusal, short and printable', () => {
    const refusal = () => commandSubject('inventory', `\u001b[31m\n${'x'.repeat(1_000_000)}`);
    expect(refusal).toThrow(/^"\\u\{1b\}\[31m\\u\{a\}x{49}…" is no name for an action: expected \^\[a-z\]/);
  });
});

describe('parsing', () => {
  it('reads back what was built', () => {
    fc.assert(
      fc.property(anyName, anyName, anyText, anySlot, (agent, name, entityId, slot) => {
        const token = agentToken(agent);
        expect(parseSubject(commandSubject(agent, name))).toEqual({ kind: 'command', agent: token, action: name });
        expect(parseSubject(eventSubject(agent, name))).toEqual({ kind: 'event', agent: token, event: name });
        expect(parseSubject(entitySubject(agent, entityId, slot, name))).toEqual({
          kind: 'entity',
          agent: token,
          entityId,
          slot,
          event: name,
        });
        expect(parseSubject(recordSubject(agent, entityId))).toEqual({ kind: 'record', agent: token, entityId });
      }),
    );
  });

  it.each(QUERY_KINDS)('reads back the query %s', (query) => {
    expect(parseSubject(querySubject('inventory', query))).toEqual({ kind: 'query', agent: 'inventory', query });
  });

  const WORDS = ['cmd', 'qry', 'evt', 'ent', 'queue', 'later', 'sys_lock_manager', '%2e', 'refused', 'x', '0', '007'];

  it('gives nothing or what has this very subject', () => {
    const part = fc.oneof(anyText, anyName, fc.constantFrom(...WORDS));
    const anySubject = fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.'));
    const rebuilt = (parsed: ParsedSubject) => {
      if (parsed.kind === 'entity') return entitySubject(parsed.agent, parsed.entityId, parsed.slot, parsed.event);
      if (parsed.kind === 'record') return recordSubject(parsed.agent, parsed.entityId);
      if (parsed.kind === 'event') return eventSubject(parsed.agent, parsed.event);
      if (parsed.kind === 'command') return commandSubject(parsed.agent, parsed.action);
      if (parsed.kind === 'query') return commandSubject(parsed.agent, parsed.query).replace('cmd', 'qry');
      if (parsed.kind === 'delayed') return delayedCommandSubject(parsed.agent, parsed.entityId, parsed.key);
      // An action that no agent has is answered.
      return `${queuedCommandSubject(parsed.agent, parsed.entityId, 'x').slice(0, -1)}${parsed.action}`;
    };
    fc.assert(
      fc.property(anySubject, (subject) => {
        const parsed = parseSubject(subject);
        expect(parsed === undefined ? subject : rebuilt(parsed)).toBe(subject);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    'cmd',
    'cmd.inventory',
    'cmd.inventory.',
    'cmd..create',
    'cmd.inventory.create.more',
    'CMD.inventory.create',
    'cmd.Inventory.create',
    'ent.inventory.a.b.created',
    'ent.inventory.a.created',
    'ent.inventory.a.-1.created',
    'ent.inventory.a.01.created',
    'ent.inventory.a.9007199254740992.created',
    'ent.inventory.a.0.created.more',
    'ent.inventory..0.created',
    'ent.inventory.%2e.0.created',
    'ent.inventory.a',
    'ent.inventory.probe',
    'ent.inventory.%2e.refused',
    'evt.*.created',
    'evt.inventory.>',
    '_INBOX.a.b',
    // The lock manager has one token, and it is not its name.
    'cmd.sys_lock_manager.acquire',
    'ent.sys_lock_manager.a.0.acquired',
  ])('finds nothing in %s', (subject) => {
    expect(parseSubject(subject)).toBeUndefined();
  });
});

describe('the lock manager', () => {
  it('speaks under the token lock', () => {
    expect(commandSubject('sys_lock_manager', 'acquire')).toBe('cmd.lock.acquire');
    expect(eventSubject('sys_lock_manager', 'conflict')).toBe('evt.lock.conflict');
    expect(entityStream('sys_lock_manager')).toBe('ENTITIES_lock');
  });
});

describe('what the server turns into events', () => {
  it('is every commit and no other subject', () => {
    const { dest, src } = REPUBLISH;
    const isUnder = (subject: string): boolean => {
      const tokens = subject.split('.');
      const wanted = src.split('.');
      return tokens.length === wanted.length && wanted.every((token, i) => token === '*' || token === tokens[i]);
    };
    expect(isUnder(entitySubject('inventory', 'a.b', 7, 'created'))).toBe(true);
    expect(isUnder(recordSubject('inventory', 'a.b'))).toBe(false);
    expect(isUnder(probeSubject('inventory'))).toBe(false);
    expect(dest.replace('{{wildcard(1)}}', 'inventory').replace('{{wildcard(4)}}', 'created')).toBe(
      eventSubject('inventory', 'created'),
    );
    expect(SIGNALS_SUBJECTS).toEqual(['evt.*.conflict', 'evt.*.rejected', 'evt.*.denied']);
  });

  it('has filters that let records and the probe through neither', () => {
    for (const event of ['*', 'refused']) {
      expect(entityEventFilter('inventory', event).split('.')).toHaveLength(5);
      expect(recordSubject('inventory', 'e').split('.')).toHaveLength(4);
    }
  });
});
