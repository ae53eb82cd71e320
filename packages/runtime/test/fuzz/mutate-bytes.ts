import type { Random } from './random.ts';
import { TELLING_BYTES, WORDS } from './words.ts';

/** Bytes of an input, except for a few that are there to be too many. */
const MOST_BYTES = 16_384;
const HUGE_BYTES = 1_100_000;

type Edit = (bytes: Uint8Array, random: Random, words: readonly Uint8Array[]) => Uint8Array;

/** One to a handful of edits. */
export function mutateBytes(bytes: Uint8Array, random: Random, words: readonly Uint8Array[]): Uint8Array {
  let mutated = bytes;
  const edits = 1 + random.below(random.chance(0.2) ? 8 : 3);
  for (let i = 0; i < edits; i++) mutated = random.of(EDITS)(mutated, random, words);
  if (random.chance(0.000_05)) return repeated(mutated, Math.ceil(HUGE_BYTES / Math.max(1, mutated.length)));
  return mutated.length > MOST_BYTES ? mutated.subarray(0, MOST_BYTES) : mutated;
}

/** The beginning of one input and the end of another. */
export function splice(one: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  return joined(one.subarray(0, random.below(one.length + 1)), other.subarray(random.below(other.length + 1)));
}

const EDITS: readonly Edit[] = [
  function flipBit(bytes, random) {
    return overwritten(bytes, random.below(bytes.length), (byte) => byte ^ (1 << random.below(8)));
  },
  function setByte(bytes, random) {
    return overwritten(bytes, random.below(bytes.length), () =>
      random.chance(0.7) ? random.of(TELLING_BYTES) : random.below(256),
    );
  },
  function insertByte(bytes, random) {
    return inserted(bytes, random, Uint8Array.of(random.chance(0.7) ? random.of(TELLING_BYTES) : random.below(256)));
  },
  function insertWord(bytes, random, words) {
    return inserted(bytes, random, random.of(random.chance(0.5) ? words : WORDS));
  },
  function overwriteWithWord(bytes, random, words) {
    const word = random.of(random.chance(0.5) ? words : WORDS);
    const at = random.below(bytes.length + 1);
    return joined(bytes.subarray(0, at), word, bytes.subarray(at + word.length));
  },
  function takeOut(bytes, random) {
    const [from, to] = range(bytes, random);
    return joined(bytes.subarray(0, from), bytes.subarray(to));
  },
  function double(bytes, random) {
    const [from, to] = range(bytes, random);
    return joined(bytes.subarray(0, to), bytes.subarray(from, to), bytes.subarray(to));
  },
  function move(bytes, random) {
    const [from, to] = range(bytes, random);
    const rest = joined(bytes.subarray(0, from), bytes.subarray(to));
    return inserted(rest, random, bytes.slice(from, to));
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
  function repeat(bytes, random) {
    const [from, to] = range(bytes, random);
    const many = repeated(
      bytes.subarray(from, Math.min(to, from + 16)),
      1 + random.below(random.chance(0.1) ? 400 : 12),
    );
    return joined(bytes.subarray(0, from), many, bytes.subarray(to));
  },
  function changeNumber(bytes, random) {
    const digit = bytes.findIndex(
      (byte, index) => byte >= 0x30 && byte <= 0x39 && random.chance(index === 0 ? 1 : 0.3),
    );
    if (digit === -1) return bytes;
    const number = random.of(['0', '1', '-1', '00', '1e3', '1e999', '4294967296', '9007199254740993', '0.1', '٣']);
    return joined(bytes.subarray(0, digit), encoder.encode(number), bytes.subarray(digit + 1));
  },
];

const encoder = new TextEncoder();

function range(bytes: Uint8Array, random: Random): [from: number, to: number] {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + 1 + random.below(random.chance(0.2) ? 64 : 6))];
}

function inserted(bytes: Uint8Array, random: Random, word: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  return joined(bytes.subarray(0, at), word, bytes.subarray(at));
}

function overwritten(bytes: Uint8Array, at: number, by: (byte: number) => number): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(by(0));
  const changed = bytes.slice();
  changed[at] = by(changed[at] as number);
  return changed;
}

function repeated(bytes: Uint8Array, times: number): Uint8Array {
  const many = new Uint8Array(bytes.length * times);
  for (let i = 0; i < times; i++) many.set(bytes, i * bytes.length);
  return many;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
