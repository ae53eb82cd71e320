/** Hunts fencing tokens that are forgotten, mixed up between resources, or lowered, and texts that are no header line. */
import { encodeToken, LIMITS } from '@meshforge/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { highestToken, NO_FENCES, raiseToken, readFences } from '../src/core/fences.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;

const anyResource = fc.oneof(
  fc.constantFrom('a', 'a.1', 'a.1 b', 'a b.2', ' ', '.', '%', '%2E', 'A', 'é', 'e\u0301', '\r\nNats-Msg-Id: x'),
  fc.stringMatching(/^[a-d]{1,2}$/),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }),
);
const anyToken = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(LARGEST, LARGEST - 1, 35, 36, 37));
const steps = fc.array(fc.tuple(anyResource, anyToken), { maxLength: 120, size: 'max' });

/** Bytes that the model's resources take, each with room for the longest token. */
function bytesOf(model: Map<string, number>): number {
  return [...model.keys()].reduce((sum, resource) => sum + encodeToken(resource).length + 13, 0);
}

test('an entity remembers the highest token of each resource, whatever comes in whatever order', () => {
  const seen = { full: 0, raised: 0 };
  fc.assert(
    fc.property(steps, (list) => {
      const model = new Map<string, number>();
      let fences = NO_FENCES;
      for (const [resource, token] of list) {
        const raised = raiseToken(fences, resource, token);
        const grown = new Map(model).set(resource, Math.max(token, model.get(resource) ?? 0));
        const fits = model.has(resource) || (grown.size <= LIMITS.fencedResources && bytesOf(grown) <= 3_168);
        expect(raised !== undefined).toBe(fits);
        seen[fits ? 'raised' : 'full']++;
        if (raised === undefined) continue;
        model.set(resource, grown.get(resource) ?? 0);
        // As the next reader gets it.
        fences = readFences(raised);
        expect(fences).toMatch(/^[\w%.-]+( [\w%.-]+)*$/);
        expect(fences.length).toBeLessThanOrEqual(LIMITS.fencesBytes);
      }
      for (const [resource, token] of model) expect(highestToken(fences, resource)).toBe(token);
      for (const [resource] of list) expect(highestToken(fences, resource)).toBe(model.get(resource) ?? 0);
    }),
    { numRuns: 200 },
  );
  expect(Math.min(seen.full, seen.raised)).toBeGreaterThan(100);
});

test('32 resources find room, a 33rd does not, and those that are known stay open to higher tokens', () => {
  let fences = NO_FENCES;
  for (let i = 0; i < 32; i++) fences = raiseToken(fences, `resource-${i}`, 1) ?? 'no room';
  expect(raiseToken(fences, 'resource-32', 1)).toBeUndefined();
  for (let i = 0; i < 32; i++) fences = raiseToken(fences, `resource-${i}`, LARGEST) ?? 'no room';
  expect(fences.split(' ')).toHaveLength(32);
  expect(highestToken(readFences(fences), 'resource-31')).toBe(LARGEST);
});

test('the longest name finds room, and is no reason to refuse higher tokens of it', () => {
  const longest = '😀'.repeat(LIMITS.entityIdCharacters);
  const fences = raiseToken(NO_FENCES, longest, 1) ?? 'no room';
  expect(highestToken(fences, longest)).toBe(1);
  const second = raiseToken(fences, 'short', 1) ?? 'no room';
  expect(highestToken(second, 'short')).toBe(1);
  expect(raiseToken(second, longest.slice(2), 1)).toBeUndefined();
  const raised = raiseToken(second, longest, LARGEST) ?? 'no room';
  expect([highestToken(raised, longest), highestToken(raised, 'short')]).toEqual([LARGEST, 1]);
  expect(raised.length).toBeLessThanOrEqual(LIMITS.fencesBytes);
});

test('a lower or equal token changes nothing', () => {
  const fences = raiseToken(NO_FENCES, 'a', 7) as string;
  expect(raiseToken(fences, 'a', 7)).toBe(fences);
  expect(raiseToken(fences, 'a', 6)).toBe(fences);
});

test.each([
  'a',
  'a.',
  '.1',
  'a.0',
  'a.01',
  'a.X',
  'a.-1',
  'a.1 ',
  ' a.1',
  'a.1  b.1',
  'a.1 a.2',
  '%2e.1',
  'a b',
  'é.1',
])('%j is no such header', (header) => {
  expect(() => readFences(header)).toThrow(TypeError);
});

test.each(['a.2gosa7pa2gw', 'a.zzzzzzzzzzzz'])('%j has a token beyond the exact numbers', (header) => {
  expect(() => readFences(header)).toThrow(TypeError);
});
