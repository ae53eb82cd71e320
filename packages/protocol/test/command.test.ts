/**
 * Hunts for envelopes that look like a command and are not, above all for those where a typo would switch the
 * concurrency guard off, and for refusals that do not say what to write instead.
 */
import { describe, expect, it } from 'vitest';
import { CommandBody, commandSchema, decodeCommand, encode, inventoryContract, type Issue } from '../src/index.ts';

const accepted = (body: unknown) => decodeCommand(encode(body)).ok;

function issuesOf(body: unknown): Issue[] {
  const decoded = decodeCommand(encode(body));
  return decoded.ok ? [] : decoded.issues;
}

describe('a command', () => {
  it.each([
    ['with an entity only', { entity_id: 'sku-1' }],
    ['for a new entity', { entity_id: 'sku-1', expected_version: 0 }],
    ['with all there is', { entity_id: 'sku-1', expected_version: 3, data: { delta: -2 } }],
    ['with the largest version', { entity_id: 'sku-1', expected_version: Number.MAX_SAFE_INTEGER }],
    ['with any data', { entity_id: 'sku-1', data: { a: [null, { b: 1.5 }], '': '' } }],
    ['with an id of one character', { entity_id: 'a' }],
    ['with an id of one emoji', { entity_id: '😀' }],
    ['with an id of 256 characters', { entity_id: 'a'.repeat(256) }],
    ['with an id of 256 emoji', { entity_id: '😀'.repeat(256) }],
    ['with an id of dots and wildcards', { entity_id: '. * > \0' }],
  ])('is accepted %s', (_, body) => {
    expect(decodeCommand(encode(body))).toEqual({ ok: true, value: body });
  });

  it.each([
    ['without an entity', {}, 'entity_id'],
    ['with an empty id', { entity_id: '' }, 'entity_id'],
    ['with an id of 257 characters', { entity_id: 'a'.repeat(257) }, 'entity_id'],
    ['with an id of 257 emoji', { entity_id: '😀'.repeat(257) }, 'entity_id'],
    ['with half an emoji as id', { entity_id: '\ud83d' }, 'entity_id'],
    ['with a number as id', { entity_id: 7 }, 'entity_id'],
    ['with null as id', { entity_id: null }, 'entity_id'],
    ['with a list as id', { entity_id: ['a'] }, 'entity_id'],
    ['with version -1', { entity_id: 'a', expected_version: -1 }, 'expected_version'],
    ['with version 1.5', { entity_id: 'a', expected_version: 1.5 }, 'expected_version'],
    ['with version 2^53', { entity_id: 'a', expected_version: 2 ** 53 }, 'expected_version'],
    ['with version "3"', { entity_id: 'a', expected_version: '3' }, 'expected_version'],
    ['with version null', { entity_id: 'a', expected_version: null }, 'expected_version'],
    ['with version true', { entity_id: 'a', expected_version: true }, 'expected_version'],
    ['with null as data', { entity_id: 'a', data: null }, 'data'],
    ['with a list as data', { entity_id: 'a', data: [] }, 'data'],
    ['with text as data', { entity_id: 'a', data: '{}' }, 'data'],
    ['with expectedVersion', { entity_id: 'a', expectedVersion: 3 }, 'expectedVersion'],
    ['with agent_version', { entity_id: 'a', agent_version: 3 }, 'agent_version'],
    ['with Expected_version', { entity_id: 'a', Expected_version: 3 }, 'Expected_version'],
    ['with a space after the key', { entity_id: 'a', 'expected_version ': 3 }, 'expected_version '],
  ])('is refused %s, naming the place', (_, body, path) => {
    expect(issuesOf(body).map((issue) => issue.path)).toEqual([path]);
  });

  it.each([null, [], [{ entity_id: 'a' }], 'a', 7, true])('is not %j', (body) => {
    expect(accepted(body)).toBe(false);
  });

  it('is refused when its version is too large for an exact number, as JSON text too', () => {
    const bytes = new TextEncoder().encode('{"entity_id":"a","expected_version":1e400}');
    expect(decodeCommand(bytes)).toMatchObject({ ok: false, issues: [{ path: 'expected_version' }] });
  });
});

describe('a refusal', () => {
  it.each([
    ['agent_version', 'agent_version was removed in 0.14: send expected_version, the version of the entity'],
    ['expectedVersion', 'unknown key expectedVersion: write expected_version'],
    ['version', 'unknown key version: write expected_version'],
    ['entity_version', 'unknown key entity_version: write expected_version'],
    ['entityId', 'unknown key entityId: write entity_id'],
    ['payload', 'unknown key payload: write data'],
    ['reply_to', 'unknown key "reply_to"'],
    ['constructor', 'unknown key "constructor"'],
  ])('of the key %s says what to write', (key, message) => {
    expect(issuesOf({ entity_id: 'a', [key]: 1 })).toEqual([{ path: key, message }]);
  });

  it('counts characters as people do', () => {
    expect(issuesOf({ entity_id: '😀'.repeat(300) })[0]?.message).toBe('expected at most 256 characters, got 300');
  });

  it('says all that is wrong at once', () => {
    const decoded = decodeCommand(encode({ entity_id: 7, expected_version: -1, expectedVersion: 1 }));
    expect(decoded).toMatchObject({
      ok: false,
      code: 'invalid_command',
      reason:
        'entity_id: Invalid input: expected string, received number; ' +
        'expected_version: Too small: expected number to be >=0; ' +
        'expectedVersion: unknown key expectedVersion: write expected_version',
    });
  });
});

describe("the schema of an action's command", () => {
  const { adjust, delete: remove, update } = inventoryContract.actions;

  it('asks for data where the action does', () => {
    expect(commandSchema(adjust.data).safeParse({ entity_id: 'a' }).success).toBe(false);
    expect(commandSchema(update.data).safeParse({ entity_id: 'a' }).success).toBe(false);
    expect(commandSchema(remove.data).safeParse({ entity_id: 'a' }).success).toBe(true);
  });

  it('keeps the envelope as strict', () => {
    const body = { entity_id: 'a', data: { delta: 1 } };
    expect(commandSchema(adjust.data).safeParse(body).success).toBe(true);
    expect(commandSchema(adjust.data).safeParse({ ...body, expectedVersion: 1 }).success).toBe(false);
    expect(Object.keys(CommandBody.shape)).toEqual(['entity_id', 'expected_version', 'data']);
  });
});
