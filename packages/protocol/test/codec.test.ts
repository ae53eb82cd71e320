/**
 * Hunts for bytes that make the codec throw, loop, recurse too deep, or let through a key that changes a prototype.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  CommandBody,
  decode,
  decodeCommand,
  decodeJson,
  encode,
  HistoryResult,
  LIMITS,
  ReplyBody,
  type Decoded,
} from '../src/index.ts';
import { anyJson, anyText } from './arbitraries.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** JSON with a few bytes changed, dropped or repeated. */
const damagedJson = fc
  .tuple(anyJson, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }), fc.nat())
  .map(([value, changes, cut]) => {
    const bytes = bytesOf(JSON.stringify(value));
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return cut % 2 === 0 ? bytes : bytes.subarray(0, cut % bytes.length);
  });

const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  damagedJson,
  anyText.map(bytesOf),
  anyText.map((text) => bytesOf(`{"entity_id":${JSON.stringify(text)},"data":{}}`)),
);

function refusal(decoded: Decoded<unknown>): { code: string; reason: string } {
  if (decoded.ok) throw new Error(`was accepted: ${JSON.stringify(decoded.value)}`);
  return decoded;
}

describe('decoding', () => {
  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const command = decodeCommand(bytes);
        expect(command.ok ? CommandBody.safeParse(command.value).success : command.reason !== '').toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  it('gives back every JSON value that was encoded, except those with a __proto__ key', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes('__proto__'));
        expect(decodeJson(encode(value))).toEqual({ ok: true, value: JSON.parse(text) });
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['nothing', new Uint8Array(), 'the body is not JSON: it is empty'],
    ['truncated UTF-8', Uint8Array.of(0x22, 0xf0, 0x9f, 0x98), 'the body is not UTF-8'],
    ['an overlong slash', Uint8Array.of(0x22, 0xc0, 0xaf, 0x22), 'the body is not UTF-8'],
    ['a surrogate in UTF-8', Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), 'the body is not UTF-8'],
    ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x7b, 0x00), 'the body is not UTF-8'],
  ])('refuses %s', (_, bytes, reason) => {
    expect(decodeJson(bytes)).toEqual({ ok: false, code: 'invalid_command', reason, issues: [] });
  });

  it('is not confused by the broken message before', () => {
    decodeJson(Uint8Array.of(0x22, 0xf0, 0x9f));
    expect(decodeJson(bytesOf('"é"'))).toEqual({ ok: true, value: 'é' });
  });

  it.each(['NaN', 'undefined', "{'a':1}", '{"a":1,}', '{} {}', '01', '"\u0001"', '// hi\n{}', '[', '\0'])(
    'refuses %j as no JSON',
    (text) => {
      expect(refusal(decodeJson(bytesOf(text))).reason).toMatch(/^the body is not JSON: /);
    },
  );
});

describe('nesting', () => {
  const nested = (levels: number, open = '[', close = ']') => bytesOf(open.repeat(levels) + close.repeat(levels));

  it('is accepted to its limit and refused beyond', () => {
    expect(decodeJson(nested(LIMITS.jsonDepth)).ok).toBe(true);
    const reason = 'the body nests deeper than 64 levels';
    expect(refusal(decodeJson(nested(LIMITS.jsonDepth + 1))).reason).toBe(reason);
    expect(refusal(decodeJson(nested(500_000))).reason).toBe(reason);
    expect(refusal(decodeJson(bytesOf('{"a":'.repeat(150_000)))).reason).toBe(reason);
  });

  it('that a command may have does not make its reply or its history unreadable', () => {
    let blob: unknown = 'deep';
    // The command and its data are levels too.
    for (let level = 2; level < LIMITS.jsonDepth; level++) blob = [blob];
    expect(decodeCommand(encode({ entity_id: 'a', data: { blob } })).ok).toBe(true);
    expect(decodeCommand(encode({ entity_id: 'a', data: { blob: [blob] } })).ok).toBe(false);
    const success = { entity_id: 'a', entity_version: 1, state: { blob } };
    expect(decode(ReplyBody, encode({ event: 'evt.box.filled', payload: success })).ok).toBe(true);
    const event = { ...success, event: 'evt.box.filled', time: '2026-01-31T12:00:00.000Z', command_id: 'c' };
    expect(decode(HistoryResult, encode({ events: [event] })).ok).toBe(true);
  });

  it('is not counted in text', () => {
    expect(decodeJson(encode({ entity_id: `${'['.repeat(200)}\\"{{{` })).ok).toBe(true);
    expect(decodeJson(bytesOf(`"${'\\"['.repeat(200)}"`)).ok).toBe(true);
  });

  it('cannot be hidden behind closing brackets', () => {
    expect(refusal(decodeJson(bytesOf(']'.repeat(1_000) + '['.repeat(1_000)))).reason).toMatch(/not JSON/);
  });
});

describe('size', () => {
  it('is accepted to 1 MiB and refused beyond, before anything is read', () => {
    const filled = (bytes: number) => bytesOf(`"${'x'.repeat(bytes - 2)}"`);
    expect(decodeJson(filled(LIMITS.commandBytes)).ok).toBe(true);
    expect(decodeJson(filled(LIMITS.commandBytes + 1))).toMatchObject({
      ok: false,
      code: 'too_large',
      reason: 'the body has 1048577 bytes: expected at most 1048576',
    });
    expect(decodeJson(new Uint8Array(2 * 1024 * 1024))).toMatchObject({ ok: false, code: 'too_large' });
  });
});

describe('a __proto__ key', () => {
  it.each([
    ['at the top', '{"entity_id":"a","__proto__":{"polluted":1}}', '__proto__'],
    ['in the data', '{"entity_id":"a","data":{"__proto__":{"polluted":1}}}', 'data.__proto__'],
    ['in an array', '{"entity_id":"a","data":{"list":[{},{"__proto__":1}]}}', 'data.list.1.__proto__'],
    ['with one letter escaped', String.raw`{"entity_id":"a","data":{"__prot\u006f__":{}}}`, 'data.__proto__'],
    [
      'with all letters escaped',
      String.raw`{"entity_id":"a","data":{"\u005F\u005f\u0070\u0072\u006f\u0074\u006f\u005f\u005f":{}}}`,
      'data.__proto__',
    ],
  ])('is refused %s', (_, text, path) => {
    const reason = `${path}: the key __proto__ is not allowed`;
    expect(decodeCommand(bytesOf(text))).toMatchObject({
      ok: false,
      code: 'invalid_command',
      reason,
      issues: [{ path }],
    });
  });

  it('never becomes a prototype, however the message is read', () => {
    const schemas = [CommandBody, z.record(z.string(), z.unknown()), z.looseObject({}), z.object({}), z.json()];
    const polluting = fc
      .tuple(anyJson, anyJson)
      .map(([one, other]) => `{"a":${JSON.stringify(one)},"__proto__":{"polluted":true},"b":${JSON.stringify(other)}}`);
    fc.assert(
      fc.property(polluting, (text) => {
        for (const schema of schemas) expect(decode(schema as z.ZodType, bytesOf(text)).ok).toBe(false);
        expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
      }),
    );
  });

  it.each(['__proto__', 'a __proto__ in the text', 'constructor'])('is not found in the text %s', (text) => {
    expect(decodeCommand(encode({ entity_id: text, data: { note: text } })).ok).toBe(true);
  });

  it('is the only such key: constructor and prototype are data', () => {
    const body = { entity_id: 'a', data: { constructor: { prototype: { polluted: true } }, hasOwnProperty: 1 } };
    expect(decodeCommand(encode(body))).toEqual({ ok: true, value: body });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('encoding', () => {
  it.each([undefined, () => 1, Symbol('a')])('throws for %s, which JSON cannot say', (value) => {
    expect(() => encode(value)).toThrow(TypeError);
  });

  it('writes UTF-8', () => {
    expect([...encode('é')]).toEqual([0x22, 0xc3, 0xa9, 0x22]);
  });
});
