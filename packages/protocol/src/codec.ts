/**
 * Bytes to messages and back. Decoding never throws: whatever the bytes, the answer is a value that says what it is or
 * what is wrong with it.
 */
import type { z } from 'zod';
import { CommandBody, unknownKeyMessage } from './command.ts';
import type { Issue } from './event.ts';
import { depthOf, findProtoKey, mayHoldProtoKey } from './json-text.ts';
import { LIMITS } from './limits.ts';
import { printable } from './text.ts';

export type Decoded<T> =
  | { ok: true; value: T }
  | { ok: false; code: 'invalid_command' | 'too_large'; reason: string; issues: Issue[] };

const utf8 = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

/**
 * JSON as UTF-8 bytes.
 * @throws TypeError for what JSON cannot say: undefined, a function, a bigint, a cycle.
 */
export function encode(value: unknown): Uint8Array {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`a message cannot be ${typeof value}: expected a JSON value`);
  return encoder.encode(text);
}

/** Any JSON value from a caller: at most 1 MiB and `maxDepth` levels (64 unless given), without `__proto__` keys. */
export function decodeJson(bytes: Uint8Array, maxDepth: number = LIMITS.jsonDepth): Decoded<unknown> {
  if (bytes.length > LIMITS.commandBytes) {
    return failed('too_large', `the body has ${bytes.length} bytes: expected at most ${LIMITS.commandBytes}`);
  }
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return failed('invalid_command', 'the body is not UTF-8');
  }
  if (text.length > maxDepth && depthOf(text) > maxDepth) {
    return failed('invalid_command', `the body nests deeper than ${maxDepth} levels`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // The engine quotes the text as it came.
    const detail = bytes.length === 0 ? 'it is empty' : (error as Error).message;
    return failed('invalid_command', `the body is not JSON: ${detail}`);
  }
  const proto = mayHoldProtoKey(text) ? findProtoKey(value) : undefined;
  if (proto !== undefined) {
    const issue = { path: pathText(proto), message: 'the key __proto__ is not allowed' };
    return failed('invalid_command', issueText(issue), [issue]);
  }
  return { ok: true, value };
}

/** A message of the given schema; up to 256 levels deep, as replies and events can be. */
export function decode<T>(schema: z.ZodType<T>, bytes: Uint8Array): Decoded<T> {
  const json = decodeJson(bytes, LIMITS.replyJsonDepth);
  return json.ok ? check(schema, json.value) : json;
}

/** The body of a command; its `data` is checked by the action's own schema, see {@link check}. */
export function decodeCommand(bytes: Uint8Array): Decoded<CommandBody> {
  const json = decodeJson(bytes);
  return json.ok ? check(CommandBody, json.value) : json;
}

/**
 * Checks a value against a schema.
 * @param at where the value stands in the message, for the paths of the issues (such as `data`).
 */
export function check<T>(schema: z.ZodType<T>, value: unknown, at = ''): Decoded<T> {
  let result: z.ZodSafeParseResult<T>;
  try {
    result = schema.safeParse(value);
  } catch (error) {
    // A schema with a throwing refinement is a defect of the agent; it must not become one of the mesh.
    const detail = error instanceof Error ? error.message : 'its schema threw';
    return failed('invalid_command', `the message cannot be checked: ${detail}`);
  }
  if (result.success) return { ok: true, value: result.data };
  // Cut before as well as after: a long array of wrong items has hundreds of thousands of issues.
  const first = result.error.issues.slice(0, LIMITS.issues);
  const issues = first.flatMap((issue) => toIssues(issue, at)).slice(0, LIMITS.issues);
  return failed('invalid_command', issues.map(issueText).join('; '), issues);
}

function toIssues(issue: z.core.$ZodIssue, at: string): Issue[] {
  const path = at === '' ? issue.path : [at, ...issue.path];
  if (issue.code !== 'unrecognized_keys') {
    return [{ path: pathText(path), message: printable(issue.message, LIMITS.issueCharacters) }];
  }
  return issue.keys
    .slice(0, LIMITS.issues)
    .map((key) => ({ path: pathText([...path, key]), message: unknownKeyMessage(key, pathText(path)) }));
}

/** Keys can be a caller's own: each is cut, and all of them together. */
function pathText(path: readonly PropertyKey[]): string {
  const keys = path.map((key) => printable(String(key), LIMITS.keyCharacters));
  return printable(keys.join('.'), LIMITS.issueCharacters);
}

function issueText({ path, message }: Issue): string {
  return path === '' ? message : `${path}: ${message}`;
}

function failed(code: 'invalid_command' | 'too_large', reason: string, issues: Issue[] = []): Decoded<never> {
  return { ok: false, code, reason: printable(reason, LIMITS.reasonCharacters), issues };
}
