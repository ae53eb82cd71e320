/**
 * Hunts for texts that leave their subject token (dots, wildcards, white space, nothing at all), that do not come back,
 * or that share a token with another text: two entities in one log.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeToken, encodeToken } from '../src/index.ts';
import { anyText } from './arbitraries.ts';

describe('a token', () => {
  it('holds only characters that no subject gives a meaning', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(encodeToken(text)).toMatch(/^[A-Za-z0-9_%-]+$/);
      }),
      { numRuns: 2_000 },
    );
  });

  it('decodes back to its text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(decodeToken(encodeToken(text))).toBe(text);
      }),
      { numRuns: 2_000 },
    );
  });

  it('belongs to one text only', () => {
    const pair = fc.oneof(
      fc.tuple(anyText, anyText),
      // Texts that look like each other's encoding.
      anyText.map((text): [string, string] => [text, encodeToken(text)]),
      anyText.map((text): [string, string] => [text, text.normalize('NFD')]),
    );
    fc.assert(
      fc.property(pair, ([one, other]) => {
        expect(encodeToken(one) === encodeToken(other)).toBe(one === other);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is the text itself where that is plain', () => {
    expect(encodeToken('sku-1_A')).toBe('sku-1_A');
  });

  it.each([
    ['', '%'],
    ['a.b', 'a%2Eb'],
    ['*', '%2A'],
    ['>', '%3E'],
    ['a b', 'a%20b'],
    ['%', '%25'],
    ['\0', '%00'],
    ['é', '%C3%A9'],
    ['😀', '%F0%9F%98%80'],
    ['\ud800', '%ED%A0%80'],
    ['\udc00\ud83d😀', '%ED%B0%80%ED%A0%BD%F0%9F%98%80'],
  ])('spells %j as %s', (text, token) => {
    expect(encodeToken(text)).toBe(token);
    expect(decodeToken(token)).toBe(text);
  });
});

describe('decoding a token', () => {
  const anyToken = fc.oneof(
    anyText,
    anyText.map(encodeToken),
    anyText.map((text) => encodeToken(text).toLowerCase()),
    fc
      .array(
        fc.constantFrom('%', '%2E', '%2e', '%41', '%C3', '%A9', '%ED', '%A0', '%80', '%B0', '%F0', '%FF', 'a', 'é'),
      )
      .map((parts) => parts.join('')),
  );

  it('gives nothing or the text that has this very token', () => {
    fc.assert(
      fc.property(anyToken, (token) => {
        const text = decodeToken(token);
        expect(text === undefined || encodeToken(text) === token).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each(['', 'a.b', '%2e', '%41', '%C3', '%c3%a9', '%ED%A0%80%ED%B0%80', '%%', '%2', 'a%', '*', '>', 'é', '%C0%AE'])(
    'refuses %j',
    (token) => {
      expect(decodeToken(token)).toBeUndefined();
    },
  );
});
