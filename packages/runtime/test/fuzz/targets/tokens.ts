import { decodeToken, encodeToken } from '@meshforge/protocol';
import fc from 'fast-check';
import { mustBeSubject, textOf, utf16 } from '../readable.ts';
import { must, type Target } from '../target.ts';

/** Entity ids in subjects: every text has one token, and every token at most one text. */
export const tokens: Target = {
  name: 'tokens',
  seeds: [
    'sku-1',
    'a%2Eb',
    '%',
    '%C3%A9',
    '%F0%9F%98%80',
    '%ED%A0%80',
    '😀 é',
    utf16('\ud800x\udc00'),
    utf16('a.b*> \u0000'),
  ],
  words: ['%2', '%ED%B0%80', '%ED%9F%BF', '%F4%90%80%80', '%c3%a9', '%25'],
  arbitrary: fc.oneof(
    fc.string({ unit: 'binary' }).map(utf16),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => [...bytes].map((byte) => `%${byte.toString(16)}`).join('')),
  ),
  run(input) {
    const text = textOf(input);
    const encoded = encodeToken(text);
    mustBeSubject(encoded, 1);
    must(decodeToken(encoded) === text, 'it comes back as something else', encoded);
    const decoded = decodeToken(text);
    must(decoded === undefined || encodeToken(decoded) === text, 'a second token of one text', text);
  },
};
