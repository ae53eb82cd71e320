/**
 * Hunts for refusals that echo what a caller sent: megabytes of it, or characters that rewrite a terminal, split a log
 * line or forge a header. Answers cost the agent; they must stay small however large the nonsense.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  check,
  CommandBody,
  decodeCommand,
  decodeJson,
  encode,
  LIMITS,
  printable,
  type Decoded,
} from '../src/index.ts';
import { anyJson, anyText } from './arbitraries.ts';

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const ELLIPSIS = 1;
const lengthOf = (text: string) => Array.from(text).length;

/** What is too much in a refusal; empty for a modest one, and for what was accepted. */
function excesses(decoded: Decoded<unknown>): string[] {
  if (decoded.ok) return [];
  const { reason, issues } = decoded;
  const parts = issues.flatMap(({ path, message }) => [path, message]);
  return [
    ...(reason === '' ? ['no reason'] : []),
    ...(lengthOf(reason) > LIMITS.reasonCharacters + ELLIPSIS ? [`a reason of ${reason.length}`] : []),
    ...(issues.length > LIMITS.issues ? [`${issues.length} issues`] : []),
    ...parts.filter((part) => lengthOf(part) > LIMITS.issueCharacters + ELLIPSIS),
    ...[reason, ...parts].filter((part) => UNPRINTABLE.test(part)).map((part) => JSON.stringify(part)),
  ];
}

describe('a refusal', () => {
  it('is short and printable, whatever the bytes', () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      anyText.map((text) => new TextEncoder().encode(text)),
      anyJson.map(encode),
      fc.dictionary(anyText, fc.constant(1)).map(encode),
    );
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(excesses(decodeCommand(bytes))).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });

  it('is short and printable, whatever the keys inside', () => {
    const schema = z.record(z.string().max(3), z.strictObject({ list: z.array(z.record(z.string(), z.int())) }));
    const keys = fc.dictionary(anyText, fc.dictionary(anyText, anyJson));
    fc.assert(
      fc.property(keys, anyText, (value, at) => {
        expect(excesses(check(schema, value, at))).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });

  const long = 'k'.repeat(900_000);
  it.each([
    ['a long key', { entity_id: 'a', [long]: 1 }],
    ['a long id', { entity_id: long }],
    ['a long id of the wrong type', { entity_id: [long] }],
    ['a long key above a __proto__', JSON.parse(`{"${long}":{"__proto__":1}}`)],
    ['80,000 keys', Object.fromEntries(Array.from({ length: 80_000 }, (_, i) => [`key${i}`, 0]))],
  ])('of %s stays small', (_, body) => {
    const decoded = decodeCommand(encode(body));
    expect(decoded.ok).toBe(false);
    expect(excesses(decoded)).toEqual([]);
  });

  it('of 300,000 wrong items is as quick as reading them', () => {
    const schema = z.object({ list: z.array(z.strictObject({ a: z.int() })) });
    const started = performance.now();
    expect(excesses(check(schema, { list: Array.from({ length: 300_000 }, () => 'x') }))).toEqual([]);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('of a record with a long key names its beginning', () => {
    const decoded = check(z.record(z.string().max(3), z.int()), { [long]: 1 });
    expect(excesses(decoded)).toEqual([]);
    expect(decoded).toMatchObject({ issues: [{ path: `${'k'.repeat(64)}…` }] });
  });

  it('keeps a message of a schema short when it echoes the caller', () => {
    const echo = z.string().refine(() => false, { error: (issue) => `bad: ${String(issue.input)}` });
    expect(excesses(check(echo, `\n${long}`))).toEqual([]);
  });

  it('shows control characters of broken JSON by their code', () => {
    const decoded = decodeJson(new TextEncoder().encode('\u001b[2J\r\nNats-Forged: 1'));
    expect(excesses(decoded)).toEqual([]);
    expect(decoded).toMatchObject({ reason: expect.stringContaining(String.raw`\u{1b}`) });
  });

  it('does not split a character', () => {
    const decoded = check(CommandBody, { entity_id: 'a', ['😀'.repeat(100)]: 1 });
    expect(decoded).toMatchObject({ issues: [{ path: `${'😀'.repeat(64)}…` }] });
  });

  it.each([
    ['an error', new Error(`broken\n${long}`)],
    ['an object without a text', Object.create(null)],
    ['a symbol', Symbol('x')],
    ['nothing', undefined],
  ])('is what a schema that throws %s ends in', (_, thrown) => {
    const defective = z.string().refine(() => {
      throw thrown;
    });
    const decoded = check(defective, 'a');
    expect(decoded).toMatchObject({ ok: false, code: 'invalid_command' });
    expect(excesses(decoded)).toEqual([]);
  });

  it('is what a schema that needs to wait ends in', () => {
    expect(
      check(
        z.string().refine(async () => true),
        'a',
      ),
    ).toMatchObject({ ok: false, code: 'invalid_command' });
  });
});

describe('printable text', () => {
  it('is the text itself where that can be read', () => {
    expect(printable('Grüße, 世界 😀', 64)).toBe('Grüße, 世界 😀');
  });

  it.each([
    ['a\nb', String.raw`a\u{a}b`],
    ['\u202egnp.exe', String.raw`\u{202e}gnp.exe`],
    ['\ud800', String.raw`\u{d800}`],
    ['\u2028', String.raw`\u{2028}`],
    ['\u0085\u007f', String.raw`\u{85}\u{7f}`],
  ])('shows %j by its code', (text, shown) => {
    expect(printable(text, 64)).toBe(shown);
  });

  it('is cut between characters', () => {
    expect(printable('😀😀😀', 2)).toBe('😀😀…');
    expect(printable('😀😀', 2)).toBe('😀😀');
  });
});
