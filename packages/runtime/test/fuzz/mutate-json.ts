/** Mutations that keep JSON JSON: what no edit of bytes would come to, since most of those break the syntax. */
import { joined } from './mutate-bytes.ts';
import type { Random } from './random.ts';

/** A value as it is written: keys may come twice, and numbers be larger than any. */
type Node =
  | { kind: 'raw'; text: string }
  | { kind: 'array'; items: Node[] }
  | { kind: 'object'; entries: [string, Node][] };

const decoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();
const OPEN_BRACE = 0x7b;

/** @returns undefined where the input does not end in a JSON object */
export function mutateJson(bytes: Uint8Array, random: Random): Uint8Array | undefined {
  const start = bytes.indexOf(OPEN_BRACE);
  if (start === -1) return undefined;
  let root: Node;
  try {
    root = toNode(JSON.parse(decoder.decode(bytes.subarray(start))));
  } catch {
    return undefined;
  }
  const edits = 1 + random.below(3);
  for (let i = 0; i < edits; i++) edit(random.of(nodesOf(root)), random);
  return joined(bytes.subarray(0, start), encoder.encode(textOf(root, random)));
}

function toNode(value: unknown): Node {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(toNode) };
  if (typeof value !== 'object' || value === null) return { kind: 'raw', text: JSON.stringify(value) };
  return { kind: 'object', entries: Object.entries(value).map(([key, inner]) => [key, toNode(inner)]) };
}

function nodesOf(root: Node): Node[] {
  const nodes = [root];
  // Grows as it is walked.
  for (const node of nodes) {
    if (node.kind === 'array') nodes.push(...node.items);
    else if (node.kind === 'object') for (const [, value] of node.entries) nodes.push(value);
  }
  return nodes;
}

function edit(node: Node, random: Random): void {
  if (node.kind === 'array') {
    if (random.chance(0.5)) node.items.splice(random.below(node.items.length + 1), 0, oddNode(random));
    else node.items.splice(random.below(node.items.length), 1);
    return;
  }
  if (node.kind === 'raw') {
    Object.assign(node, random.chance(0.2) ? longer(node.text, random) : oddNode(random));
    return;
  }
  const { entries } = node;
  const index = random.below(entries.length);
  const entry = entries[index];
  switch (random.below(6)) {
    case 0:
      entries.splice(index, 1);
      break;
    case 1:
      // The same key again: the last one counts.
      if (entry !== undefined) entries.push([entry[0], oddNode(random)]);
      break;
    case 2:
      if (entry !== undefined) entry[0] = oddKey(entry[0], random);
      break;
    case 3:
      entries.push([oddKey('key', random), oddNode(random)]);
      break;
    default:
      if (entry !== undefined) entry[1] = oddNode(random);
  }
}

function longer(text: string, random: Random): Node {
  const more = random
    .of(['a', 'é', '😀', '\\u0000', '%', '.'])
    .repeat(random.of([1, 2, 64, 127, 128, 129, 255, 256, 257]));
  return { kind: 'raw', text: text.endsWith('"') ? `${text.slice(0, -1)}${more}"` : JSON.stringify(text) };
}

function oddKey(key: string, random: Random): string {
  return random.of([
    '__proto__',
    'constructor',
    'prototype',
    'hasOwnProperty',
    'toJSON',
    'then',
    '',
    key.toUpperCase(),
    `${key} `,
    key.replaceAll('_', ''),
    'expectedVersion',
    'agent_version',
    'entity_id',
    'expected_version',
    'data',
    'state',
    '\u202e\u0000',
    'k'.repeat(5_000),
  ]);
}

const VALUES = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '1',
  '-1',
  '1.5',
  '1e21',
  '1e999',
  '-1e999',
  '9007199254740991',
  '9007199254740992',
  '1000000000001',
  '0.1e-400',
  '""',
  '" "',
  '"*"',
  '">"',
  '"a.b"',
  '"a\\r\\nb"',
  '"\\u0000"',
  '"\\ud800"',
  '"\\udc00x"',
  '"😀"',
  '"__proto__"',
  '"constructor"',
  '"2026-01-31T12:00:00.000Z"',
  '"2026-02-31T12:00:00.000Z"',
  '[]',
  '{}',
  '[null]',
  '{"__proto__":{"polluted":1}}',
  '{"\\u005f\\u005fproto\\u005f\\u005f":1}',
];

function oddNode(random: Random): Node {
  if (random.chance(0.03)) {
    const depth = random.of([1, 60, 63, 64, 65, 250, 256, 257, 3_000]);
    return {
      kind: 'raw',
      text: random.chance(0.5)
        ? '['.repeat(depth) + ']'.repeat(depth)
        : '{"a":'.repeat(depth) + '1' + '}'.repeat(depth),
    };
  }
  if (random.chance(0.02))
    return { kind: 'array', items: Array.from({ length: 200 }, () => ({ kind: 'raw', text: '1' })) };
  return { kind: 'raw', text: random.of(VALUES) };
}

function textOf(node: Node, random: Random): string {
  if (node.kind === 'raw') return node.text;
  const gap = random.chance(0.02) ? random.of([' ', '\n', '\t', '\r\n']) : '';
  if (node.kind === 'array') return `[${gap}${node.items.map((item) => textOf(item, random)).join(`,${gap}`)}]`;
  const entries = node.entries.map(([key, value]) => `${keyText(key, random)}:${gap}${textOf(value, random)}`);
  return `{${gap}${entries.join(',')}}`;
}

/** A key, now and then with its characters escaped. */
function keyText(key: string, random: Random): string {
  if (!random.chance(0.03)) return JSON.stringify(key);
  return `"${key
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')}"`;
}
