import * as fc from 'fast-check';

/** Any sequence of UTF-16 code units, lone surrogates and NUL included, with a taste for what subjects and JSON trip on. */
export const anyText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom('.', '*', '>', ' ', '%', '%2E', '%ED%A0%80', '\0', '\r\n', '\t', '..', '_', '-', '~', 'é', '😀'),
      fc.constantFrom('\ud800', '\udbff', '\udc00', '\udfff', '\ufeff', '\u2028', '\u202e', '__proto__', '"', '\\'),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.string({ unit: 'grapheme-ascii', maxLength: 8 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

/** Names of agents, actions and events, those that every JavaScript object inherits included. */
export const anyName: fc.Arbitrary<string> = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9_]{0,20}$/),
  fc.constantFrom('constructor', 'inventory', 'lock', 'a'.repeat(64), 'x_9'),
);

/** Any JSON value as it comes out of a parser. */
export const anyJson: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 4 });
