/** What parsers stumble over, of every format on the wire. */

const JSON_WORDS = [
  '{}',
  '[]',
  'null',
  'true',
  '""',
  '0',
  '-0',
  '-1',
  '1.5',
  '1e999',
  '9007199254740992',
  '1E400',
  '{"a":1,"a":2}',
  '"__proto__":',
  '"\\u005f_proto__":',
  '"constructor":',
  '"toString":',
  '"expected_version":',
  '"entity_id":',
  '"data":',
  '"state":',
  '"\\ud800"',
  '"\\u0000"',
  '"\\u2028"',
  '[[[[[[[[',
  ']]]]]]]]',
  ',',
  ':',
  '"',
  '\\',
];

const SUBJECT_WORDS = [
  '.',
  '*',
  '>',
  ' ',
  '%',
  '%2E',
  '%2e',
  '%00',
  '%ED%A0%80',
  '%C3%A9',
  '%F0%9F%98%80',
  'ent.',
  'evt.',
  '$JS.API.',
];

const HEADER_WORDS = [
  '\r\n',
  '\r\n\r\n',
  ': ',
  'NATS/1.0\r\n',
  'NATS/1.0 503\r\n',
  'Nats-Msg-Id: x\r\n',
  'Nats-Rollup: all\r\n',
  'Nats-Schedule: @at 2026-01-31T12:00:00Z\r\n',
  'Mesh-Command-Id: ',
  'Mesh-Recent: ',
  'mesh-command-id: ',
  'traceparent: ',
];

const ODD_TEXT = [
  '\0',
  '\t',
  '\n',
  '\u007f',
  '\u0085',
  '\u00a0',
  '\u200b',
  '\u202e',
  '\u2028',
  '\ufeff',
  '\uffff',
  'é',
  '😀',
  'ß',
  'ﬀ',
  'x'.repeat(300),
];

export const WORDS: readonly Uint8Array[] = [
  ...[...JSON_WORDS, ...SUBJECT_WORDS, ...HEADER_WORDS, ...ODD_TEXT].map((word) => new TextEncoder().encode(word)),
  // Not UTF-8: a lone surrogate, an overlong slash, a cut sequence, bytes that never are.
  Uint8Array.of(0xed, 0xa0, 0x80),
  Uint8Array.of(0xc0, 0xaf),
  Uint8Array.of(0xf0, 0x9f, 0x98),
  Uint8Array.of(0xfe),
  Uint8Array.of(0xff),
];

/** Single bytes that mean something to some parser. */
export const TELLING_BYTES: readonly number[] = [
  0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x25, 0x2a, 0x2c, 0x2d, 0x2e, 0x30, 0x3a, 0x3e, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d,
  0x7f, 0x80, 0xc2, 0xed, 0xf0, 0xff,
];
