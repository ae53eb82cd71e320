/**
 * Bytes to messages and back. Decoding never throws: whatever the bytes, the answer is a value that says what it is or
 * what is wrong with it.
 */
import type { z } from 'zod';
import { CommandBody, unknownKeyMessage } from './command.ts';
import type { Issue } from './event.ts';
import { LIMITS } from './limits.ts';

export type Decoded<T> =
  | { ok: true; value: T }
  | { ok: false; code: 'invalid_command' | 'too_large'; reason: string; issues: Issue[] };

const utf8 = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

/** JSON as UTF-8 bytes. */
export function encode(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/** Any JSON value from a caller: at most 1 MiB and 64 levels deep, without `__proto__` keys. */
export function decodeJson(bytes: Uint8Array): Decoded<unknown> {
  if (bytes.length > LIMITS.commandBytes) {
    return failed('too_large', `the body has ${bytes.length} bytes: expected at most ${LIMITS.commandBytes}`);
  }
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return failed('invalid_command', 'the body is not UTF-8');
  }
  if (text.length > LIMITS.jsonDepth && depthOf(text) > LIMITS.jsonDepth) {
    return failed('invalid_command', `the body nests deeper than ${LIMITS.jsonDepth} levels`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const detail = bytes.length === 0 ? 'it is empty' : (error as Error).message;
    return failed('invalid_command', `the body is not JSON: ${detail}`);
  }
  // A cheap look first: hardly any message has such a key, however it is spelled.
  if (/proto|\\u/.test(text)) {
    const path = findProtoKey(value, '');
    if (path !== undefined) {
      return failed('invalid_command', 'the key __proto__ is not allowed', [{ path, message: 'unknown key' }]);
    }
  }
  return { ok: true, value };
}

/** A message of the given schema. */
export function decode<T>(schema: z.ZodType<T>, bytes: Uint8Array): Decoded<T> {
  const json = decodeJson(bytes);
  return json.ok ? check(schema, json.value) : json;
}

/** The body of a command; its `data` is checked by the action's own schema, see {@link check}. */
export function decodeCommand(bytes: Uint8Array): Decoded<CommandBody> {
  return decode(CommandBody, bytes);
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
    return failed('invalid_command', `the message cannot be checked: ${String(error)}`);
  }
  if (result.success) return { ok: true, value: result.data };
  const issues = result.error.issues.flatMap((issue) => toIssues(issue, at)).slice(0, LIMITS.issues);
  return failed('invalid_command', issues.map(issueText).join('; '), issues);
}

function toIssues(issue: z.core.$ZodIssue, at: string): Issue[] {
  const path = [at, ...issue.path.map(String)].filter((part) => part !== '').join('.');
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  return issue.keys.slice(0, LIMITS.issues).map((key) => ({
    path: path === '' ? clip(key) : `${path}.${clip(key)}`,
    message: unknownKeyMessage(clip(key)),
  }));
}

function issueText({ path, message }: Issue): string {
  return path === '' ? message : `${path}: ${message}`;
}

/** A key sent by a caller can be a megabyte long; an answer names its beginning. */
function clip(text: string): string {
  return text.length <= 64 ? text : `${text.slice(0, 64)}…`;
}

function failed(code: 'invalid_command' | 'too_large', reason: string, issues: Issue[] = []): Decoded<never> {
  return { ok: false, code, reason, issues };
}

/** Levels of nesting, counted on the text so that nothing recursive sees a deep value. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (inString) {
      if (unit === BACKSLASH) i++;
      else if (unit === QUOTE) inString = false;
    } else if (unit === QUOTE) inString = true;
    else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) deepest = Math.max(deepest, ++depth);
    else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) depth--;
  }
  return deepest;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

function findProtoKey(value: unknown, path: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const at = path === '' ? clip(key) : `${path}.${clip(key)}`;
    if (key === '__proto__') return at;
    const found = findProtoKey(inner, at);
    if (found !== undefined) return found;
  }
  return undefined;
}
