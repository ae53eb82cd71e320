/**
 * Hunts for envelopes that look like a command and are not, above all for those where a typo would switch the
 * concurrency guard off, and for refusals that do not say what to write instead.
 */
import { describe, expect, it } from 'vitest';
import {
  check,
  CommandBody,
  commandJsonSchema,
  commandSchema,
  decodeCommand,
  encode,
  inventoryContract,
  lockContract,
  type Issue,
} from '../src/index.ts';
import { compiled } from './strict-ajv.ts';

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
    ['under a lease', { entity_id: 'sku-1', lease: { resource: 'printer', fencing_token: 7 } }],
    ['under a lease on anything', { entity_id: 'sku-1', lease: { resource: '. * > 😀 \0', fencing_token: 1 } }],
    [
      'under a lease on the longest resource, with the largest token',
      { entity_id: 'sku-1', lease: { resource: '😀'.repeat(256), fencing_token: Number.MAX_SAFE_INTEGER } },
    ],
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
    ['with null as lease', { entity_id: 'a', lease: null }, 'lease'],
    ['with a list as lease', { entity_id: 'a', lease: [] }, 'lease'],
    ['with a token as lease', { entity_id: 'a', lease: 7 }, 'lease'],
    ['with a lease on nothing', { entity_id: 'a', lease: { fencing_token: 7 } }, 'lease.resource'],
    ['with a lease on an empty name', { entity_id: 'a', lease: { resource: '', fencing_token: 7 } }, 'lease.resource'],
    [
      'with a lease on 257 characters',
      { entity_id: 'a', lease: { resource: 'a'.repeat(257), fencing_token: 7 } },
      'lease.resource',
    ],
    ['with a lease without a token', { entity_id: 'a', lease: { resource: 'b' } }, 'lease.fencing_token'],
    ['with token 0', { entity_id: 'a', lease: { resource: 'b', fencing_token: 0 } }, 'lease.fencing_token'],
    ['with token 1.5', { entity_id: 'a', lease: { resource: 'b', fencing_token: 1.5 } }, 'lease.fencing_token'],
    ['with token "7"', { entity_id: 'a', lease: { resource: 'b', fencing_token: '7' } }, 'lease.fencing_token'],
    ['with token 2^53', { entity_id: 'a', lease: { resource: 'b', fencing_token: 2 ** 53 } }, 'lease.fencing_token'],
    [
      'with an owner in the lease',
      { entity_id: 'a', lease: { resource: 'b', fencing_token: 7, owner_id: 'me' } },
      'lease.owner_id',
    ],
    ['with Lease', { entity_id: 'a', Lease: { resource: 'b', fencing_token: 7 } }, 'Lease'],
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
    ['fencing_token', 'unknown key fencing_token: write lease: { resource, fencing_token }'],
    ['fencingToken', 'unknown key fencingToken: write lease: { resource, fencing_token }'],
    ['reply_to', 'unknown key "reply_to"'],
    ['constructor', 'unknown key "constructor"'],
  ])('of the key %s says what to write', (key, message) => {
    expect(issuesOf({ entity_id: 'a', [key]: 1 })).toEqual([{ path: key, message }]);
  });

  it.each([
    ['fencingToken', 'unknown key fencingToken: write fencing_token'],
    ['token', 'unknown key token: write fencing_token'],
    ['entity_id', 'unknown key entity_id: write resource'],
    ['toString', 'unknown key "toString"'],
  ])('of the key %s in the lease says what to write', (key, message) => {
    const lease = { resource: 'b', fencing_token: 7, [key]: 1 };
    expect(issuesOf({ entity_id: 'a', lease })).toEqual([{ path: `lease.${key}`, message }]);
  });

  it('of a key in the data does not speak of the lease', () => {
    const data = check(lockContract.actions.acquire.data, { owner_id: 'me', fencing_token: 1 }, 'data');
    expect(data).toMatchObject({ issues: [{ path: 'data.fencing_token', message: 'unknown key "fencing_token"' }] });
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
    expect(Object.keys(CommandBody.shape)).toEqual(['entity_id', 'expected_version', 'lease', 'data']);
  });

  it('asks for a lease where the action does, as JSON Schema too', () => {
    const body = { entity_id: 'a', data: { delta: 1 } };
    const leased = { ...body, lease: { resource: 'b', fencing_token: 7 } };
    for (const requiresLease of [true, () => 'b'] as const) {
      const contract = { actions: { adjust: { ...adjust, requiresLease } } };
      const validate = compiled(commandJsonSchema(contract, 'adjust'));
      expect([validate(body), validate(leased)]).toEqual([false, true]);
      expect(validate({ ...body, lease: { resource: 'b' } })).toBe(false);
    }
    const free = compiled(commandJsonSchema(inventoryContract, 'adjust'));
    expect([free(body), free(leased)]).toEqual([true, true]);
    expect(commandSchema(adjust.data, true).safeParse(body).success).toBe(false);
    expect(commandSchema(adjust.data, true).safeParse(leased).success).toBe(true);
  });
});
