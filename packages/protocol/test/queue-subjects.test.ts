/** Hunts subjects of durable commands that reach another entity, and texts that are taken for such a subject. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  agentToken,
  decidedSubject,
  delayedCommandSubject,
  delayedCommandWildcard,
  parseSubject,
  queuedActionFilter,
  queuedCommandSubject,
  queuedCommandWildcard,
} from '../src/index.ts';
import { anyName, anyText } from './arbitraries.ts';

/** As the server matches. */
const matches = (filter: string, subject: string): boolean => {
  const tokens = subject.split('.');
  const pattern = filter.split('.');
  return pattern.length === tokens.length && pattern.every((token, at) => token === '*' || token === tokens[at]);
};

test('the subject of a durable command names its entity, and is read back', () => {
  fc.assert(
    fc.property(anyName, anyText, anyName, (agent, entityId, action) => {
      const subject = queuedCommandSubject(agent, entityId, action);
      expect(parseSubject(subject)).toEqual({ kind: 'queued', agent: agentToken(agent), entityId, action });
      expect(matches(queuedCommandWildcard(agent), subject)).toBe(true);
      expect(matches(queuedActionFilter(agent, action), subject)).toBe(true);
    }),
  );
});

test('the subject of a delayed command names its entity, and is read back', () => {
  fc.assert(
    fc.property(anyName, anyText, anyText, (agent, entityId, key) => {
      const subject = delayedCommandSubject(agent, entityId, key);
      expect(parseSubject(subject)).toEqual({ kind: 'delayed', agent: agentToken(agent), entityId, key });
      expect(matches(delayedCommandWildcard(agent), subject)).toBe(true);
    }),
  );
});

test.each([
  'queue.cmd.inventory.bolt',
  'queue.cmd.inventory.bolt.',
  'queue.cmd.inventory..adjust',
  'queue.cmd.inventory.%2e.adjust',
  'queue.cmd.inventory.bolt.adjust.x',
  'queue.cmd.sys_lock_manager.shelf.acquire',
  'queue.cmd.Inventory.bolt.adjust',
  'queue.later.inventory.key',
  'queue.later.inventory.bolt.',
  'queue.decided.inventory.key.cancelled',
  'queue.refused.inventory.1',
])('%s is no durable command', (subject) => {
  expect(parseSubject(subject)).toBeUndefined();
});

test('an action that no agent can have still belongs to its entity: whoever sends it is told', () => {
  expect(parseSubject('queue.cmd.inventory.bolt.No-Name')).toMatchObject({ kind: 'queued', action: 'No-Name' });
});

test('what becomes of a delayed command is found by its key alone', () => {
  expect(decidedSubject('sys_lock_manager', 'k.1', 'executed')).toBe('queue.decided.lock.k%2E1.executed');
});
