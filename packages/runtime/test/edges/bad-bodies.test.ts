// Hunts for bodies that get a wrong answer or none, that change something, switch the version guard off, or kill.
import { LIMITS } from '@meshforge/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openConnection } from '../support/wire.ts';
import { AGENTS, startMesh, type Mesh } from './support/mesh.ts';
import type { Bytes } from './support/raw-client.ts';
import { expectRefused, Target, type Expected } from './support/target.ts';

let mesh: Mesh;
const targets = new Map<string, Target>();

beforeAll(async () => {
  mesh = await startMesh({ maxPayload: 8 * 1024 * 1024 });
  for (const spec of AGENTS) targets.set(spec.name, await Target.open(mesh, spec));
});

afterAll(async () => {
  await mesh?.stop();
});

/** What is sent, made from a body that would succeed. */
type BodyOf = (good: (changes?: Readonly<Record<string, unknown>>) => string) => Bytes;

const notJson: Expected = { code: 'invalid_command', entityId: null };
const wrong = (...paths: string[]): Expected => ({ code: 'invalid_command', paths });

/** A body as text, spliced into the good one's beginning: JSON that no JavaScript object can say. */
const spliced =
  (text: string): BodyOf =>
  (good) =>
    `{${text},${good().slice(1)}`;
/** The good body with the text in the place of the version that it expects. */
const expecting =
  (version: string): BodyOf =>
  (good) =>
    good({ expected_version: '?' }).replace('"?"', version);

const CASES: readonly (readonly [what: string, body: BodyOf, expected: Expected])[] = [
  ['an empty body', () => '', { ...notJson, reason: /empty/ }],
  ['a blank', () => ' ', notJson],
  ['text that is no JSON', () => 'hello', notJson],
  ['JSON that breaks off', (good) => good().slice(0, -1), notJson],
  ['JSON with more behind it', (good) => `${good()}x`, notJson],
  ['two values', (good) => good() + good(), notJson],
  ['control characters', () => '\u001b[2J\r\nNats-Forged: 1\u0000\u0085\u2028', notJson],
  [
    'bytes that are no UTF-8',
    () => new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
    { ...notJson, reason: /UTF-8/ },
  ],
  ['UTF-16', (good) => Buffer.from(`\ufeff${good()}`, 'utf16le'), { ...notJson, reason: /UTF-8/ }],
  ['an overlong encoding', () => new Uint8Array([0x22, 0xc0, 0xaf, 0x22]), { ...notJson, reason: /UTF-8/ }],
  ['a surrogate in UTF-8', () => new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), { ...notJson, reason: /UTF-8/ }],
  ['NaN', expecting('NaN'), notJson],
  ['null', () => 'null', wrong('')],
  ['an array', () => '[]', wrong('')],
  ['a text', () => '"text"', wrong('')],
  ['a number', () => '1e400', wrong('')],
  ['true', () => 'true', wrong('')],
  ['a lease that is null', (good) => good({ lease: null }), wrong('lease')],
  ['a lease that is a token', (good) => good({ lease: 7 }), wrong('lease')],
  ['an empty lease', (good) => good({ lease: {} }), wrong('lease.resource', 'lease.fencing_token')],
  ['token 0', (good) => good({ lease: { resource: 'a', fencing_token: 0 } }), wrong('lease.fencing_token')],
  [
    'half an emoji as resource',
    (good) => good({ lease: { resource: '\ud83d', fencing_token: 1 } }),
    wrong('lease.resource'),
  ],
  [
    'a misspelt token',
    (good) => good({ lease: { resource: 'a', fencing_token: 1, fencingToken: 1 } }),
    { ...wrong('lease.fencingToken'), reason: /write fencing_token/ },
  ],
  [
    'a token outside of a lease',
    (good) => good({ fencing_token: 1 }),
    { ...wrong('fencing_token'), reason: /write lease: \{ resource, fencing_token \}/ },
  ],
  ['an empty object', () => '{}', wrong('entity_id')],

  ['no id', (good) => good({ entity_id: undefined }), wrong('entity_id')],
  ['an id that is null', (good) => good({ entity_id: null }), wrong('entity_id')],
  ['an id that is a number', (good) => good({ entity_id: 7 }), wrong('entity_id')],
  ['an id that is an array', (good) => good({ entity_id: ['target'] }), wrong('entity_id')],
  ['an id that is an object', (good) => good({ entity_id: { toString: 'target' } }), wrong('entity_id')],
  ['an empty id', (good) => good({ entity_id: '' }), wrong('entity_id')],
  ['an id of 257 characters', (good) => good({ entity_id: 'x'.repeat(257) }), wrong('entity_id')],
  ['an id of 257 emoji', (good) => good({ entity_id: '😀'.repeat(257) }), wrong('entity_id')],
  ['an id of a million characters', (good) => good({ entity_id: 'x'.repeat(1_000_000) }), wrong('entity_id')],
  ['half of a surrogate pair as id', (good) => good({ entity_id: 'a\ud800b' }), wrong('entity_id')],
  ['the other half', (good) => good({ entity_id: '\udc00' }), wrong('entity_id')],

  ['a negative version', expecting('-1'), wrong('expected_version')],
  ['a fractional version', expecting('1.5'), wrong('expected_version')],
  ['a version as text', expecting('"1"'), wrong('expected_version')],
  ['a version that is null', expecting('null'), wrong('expected_version')],
  ['a version that is true', expecting('true'), wrong('expected_version')],
  ['a list of versions', expecting('[0]'), wrong('expected_version')],
  ['an infinite version', expecting('1e400'), wrong('expected_version')],
  ['an infinite negative version', expecting('-1e400'), wrong('expected_version')],
  ['a version that no number holds exactly', expecting('9007199254740993'), wrong('expected_version')],
  ['a version a little above none', expecting('5e-324'), wrong('expected_version')],

  ['data that is null', (good) => good({ data: null }), wrong('data')],
  ['data that is an array', (good) => good({ data: [] }), wrong('data')],
  ['data that is a text', (good) => good({ data: '{}' }), wrong('data')],

  ['an unknown key', (good) => good({ extra: 1 }), wrong('extra')],
  [
    'the typo expectedVersion',
    (good) => good({ expectedVersion: 7 }),
    { ...wrong('expectedVersion'), reason: /expected_version/ },
  ],
  ['the typo entityId', (good) => good({ entityId: 'x' }), { ...wrong('entityId'), reason: /entity_id/ }],
  ['agent_version', (good) => good({ agent_version: 1 }), { ...wrong('agent_version'), reason: /expected_version/ }],
  ['a key that is empty', (good) => good({ '': 1 }), wrong('')],
  ['a key of control characters', (good) => good({ '\r\nNats-Forged: 1': 1 }), wrong('\\u{d}\\u{a}Nats-Forged: 1')],
  ['__proto__', spliced('"__proto__":{"entity_id":"x"}'), wrong('__proto__')],
  ['an escaped __proto__', spliced(String.raw`"\u005f_proto_\u005F":{}`), wrong('__proto__')],
  ['__proto__ instead of all else', () => '{"__proto__":{"entity_id":"x","data":{}}}', wrong('__proto__')],
  ['__proto__ in data', () => '{"entity_id":"x","data":{"__proto__":{"polluted":1}}}', wrong('data.__proto__')],
  ['__proto__ deep in data', () => '{"entity_id":"x","data":{"a":[{"__proto__":1}]}}', wrong('data.a.0.__proto__')],
  ['constructor', (good) => good({ constructor: { prototype: { polluted: 1 } } }), wrong('constructor')],
  ['hasOwnProperty', (good) => good({ hasOwnProperty: 1 }), wrong('hasOwnProperty')],
  ['toString', (good) => good({ toString: 1 }), wrong('toString')],

  [
    'arrays 100,000 deep',
    () => '['.repeat(100_000) + ']'.repeat(100_000),
    { ...notJson, reason: /nests deeper than 64/ },
  ],
  [
    'objects 100,000 deep',
    () => `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
    { ...notJson, reason: /nests deeper/ },
  ],
  ['data 100,000 deep', () => `{"entity_id":"x","data":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`, notJson],
  ['100,000 brackets that never close', () => '['.repeat(100_000), notJson],
  ['data of 65 levels', (good) => good({ data: nested(64) }), notJson],
  [
    'more bytes than a command may have',
    (good) => good({ data: { padding: 'x'.repeat(LIMITS.commandBytes) } }),
    { code: 'too_large', reason: /1048576/ },
  ],
  ['2 MB', () => Buffer.alloc(2_000_000, 'x'), { code: 'too_large', reason: /2000000/ }],
  ['7 MB of zero bytes', () => new Uint8Array(7_000_000), { code: 'too_large' }],
];

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = { a: value };
  return value;
}

describe.each(AGENTS)('$name', ({ name }) => {
  const target = (): Target => targets.get(name) as Target;

  test.each(CASES)(
    'I8: %s is refused, changes nothing, and the next command is served',
    async (_what, bodyOf, expected) => {
      const body = bodyOf((changes) => target().body(changes));
      await expectRefused(target(), { body }, expected);
    },
  );

  test('I8: of thousands of wrong keys the refusal names a few, whatever is in them', async () => {
    for (const key of ['key', '😀'.repeat(80), '\u0001\u202e'.repeat(40), '"\\'.repeat(50)]) {
      const keys = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`${i}${key}`, 0]));
      const { replies, written } = await target().shoot({ body: target().body(keys) });
      expect(written).toBe(0);
      const payload = replies[0]?.body['payload'] as { issues: unknown[] };
      expect(payload.issues).toHaveLength(LIMITS.issues);
      // 16 issues in the longest of characters.
      expect(replies[0]?.bytes).toBeLessThan(16_384);
    }
  });

  test('I8: the path of an issue leads into the data, the id of the entity is given back', async () => {
    const data = { ...target().spec.good.data, surprise: true };
    const { issues } = await expectRefused(
      target(),
      { body: target().body({ data }) },
      { code: 'invalid_command', paths: ['data.surprise'], entityId: 'target' },
    );
    expect(issues?.[0]?.message).toContain('surprise');
  });

  test('I8: minus zero and numbers spelled with an exponent are the integers that they are', async () => {
    const id = `spelled-${name}`;
    const reply = await target().shoot({
      body: target().body({ entity_id: id }).replace('{', '{"expected_version":-0,'),
    });
    expect(reply.replies[0]?.body['event']).toBe(`evt.${target().spec.token}.${target().spec.good.event}`);
    expect(reply.written).toBe(1);
    const again = await target().shoot({
      body: target().body({ entity_id: id }).replace('{', '{"expected_version":2.0e1,'),
    });
    expect(again.replies[0]?.body['payload']).toMatchObject({ expected_version: 20, current_version: 1 });
    expect(again.written).toBe(0);
  });
});

test('I8: a body above the payload of the server never leaves the client', async () => {
  const client = await openConnection(mesh.server.url);
  try {
    expect(() => client.publish('cmd.inventory.create', new Uint8Array(8 * 1024 * 1024 + 1))).toThrow(/max_payload/);
  } finally {
    await client.close();
  }
});

test('I8: after all this both agents run in the process in which they started', async () => {
  for (const agent of mesh.agents.values()) {
    const gone = await Promise.race([agent.exited, Promise.resolve('alive')]);
    expect(gone, `it logged ${agent.log}`).toBe('alive');
    expect(agent.log).not.toMatch(/could not be handled|reader closed|disconnected/);
  }
});
