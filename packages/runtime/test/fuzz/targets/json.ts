import { isDeepStrictEqual } from 'node:util';
import { decodeJson, encode, LIMITS } from '@meshforge/protocol';
import fc from 'fast-check';
import { mustBeRefusal } from '../readable.ts';
import { must, type Target } from '../target.ts';

const strict = new TextDecoder('utf-8', { fatal: true });

/** `decodeJson`: any bytes to a JSON value, held against what JSON.parse and a plain count of brackets say. */
export const json: Target = {
  name: 'JSON',
  seeds: [
    '{"entity_id":"sku-1","expected_version":3,"data":{"delta":-2}}',
    '{"a":[1,2.5,-3e4,true,false,null,"x\\n\\u00e9"],"b":{"c":{"d":[]}}}',
    '[[[[]]]]',
    '"text"',
    ' 1 ',
    '{"\\u005f_proto__":1}',
    `${'['.repeat(64)}${']'.repeat(64)}`,
    `${'['.repeat(257)}${']'.repeat(257)}`,
  ],
  arbitrary: fc.oneof(fc.json(), fc.uint8Array({ maxLength: 64 }), fc.string({ unit: 'binary', maxLength: 32 })),
  run(input) {
    for (const depth of [LIMITS.jsonDepth, LIMITS.replyJsonDepth]) {
      const decoded = decodeJson(input, depth);
      if (decoded.ok) {
        const again = decodeJson(encode(decoded.value), depth);
        must(
          again.ok && isDeepStrictEqual(again.value, withoutMinusZero(decoded.value)),
          'it does not come back as it was',
        );
        must(nesting(strict.decode(input)) <= depth, 'what is too deep was let through');
      } else {
        mustBeRefusal(decoded);
        must(!isGood(input, depth), 'good JSON was refused', decoded.reason);
      }
    }
  },
};

function isGood(input: Uint8Array, depth: number): boolean {
  if (input.length > LIMITS.commandBytes) return false;
  try {
    const text = strict.decode(input);
    let isClean = true;
    JSON.parse(text, (key, value: unknown) => {
      if (key === '__proto__') isClean = false;
      return value;
    });
    return isClean && nesting(text) <= depth;
  } catch {
    return false;
  }
}

function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of text.replace(/"(?:[^"\\]|\\[^])*"/g, '').matchAll(/[[\]{}]/g)) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

/** JSON has a minus zero, but its text is 0. */
function withoutMinusZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}
