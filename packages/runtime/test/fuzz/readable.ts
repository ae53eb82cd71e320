/** What the readers of the wire promise of every answer that they give. */
import { type Decoded, LIMITS } from '@meshforge/protocol';
import { must } from './target.ts';

// What could rewrite a terminal, split a log line or forge a header.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const TOKEN = /^[A-Za-z0-9_%-]+$/;
/** Of an ellipsis. */
const CUT = 1;

const lenient = new TextDecoder();

/**
 * An input as text. One that begins with FE is UTF-16: so lone surrogates get in, which have no UTF-8.
 */
export function textOf(input: Uint8Array): string {
  if (input[0] !== 0xfe) return lenient.decode(input);
  return Buffer.from(input.subarray(1)).toString('utf16le');
}

/** The bytes of an input that {@link textOf} reads as this text. */
export function utf16(text: string): Uint8Array {
  return Uint8Array.from([0xfe, ...Buffer.from(text, 'utf16le')]);
}

export function mustBePrintable(text: string, maxCharacters: number, what: string): void {
  must(!UNPRINTABLE.test(text), `${what} holds a character that is not printable`, text);
  must(characters(text) <= maxCharacters + CUT, `${what} has more than ${maxCharacters} characters`, text);
}

/** In Unicode code points. */
export function characters(text: string): number {
  return Array.from(text).length;
}

/** A refusal says what was wrong, in few printable words. */
export function mustBeRefusal(refusal: Decoded<unknown> & { ok: false }): void {
  const { code, reason, issues } = refusal;
  must(code === 'invalid_command' || code === 'too_large', 'an unknown code', code);
  must(reason.length > 0, 'there is no reason');
  mustBePrintable(reason, LIMITS.reasonCharacters, 'the reason');
  must(issues.length <= LIMITS.issues, 'too many issues', issues.length);
  for (const { path, message } of issues) {
    mustBePrintable(path, LIMITS.issueCharacters, 'the path of an issue');
    mustBePrintable(message, LIMITS.issueCharacters, 'the message of an issue');
  }
}

/** Each part between two dots is one token, and no wildcard. */
export function mustBeSubject(subject: string, tokens: number): void {
  const parts = subject.split('.');
  must(parts.length === tokens, `a subject has not ${tokens} tokens`, subject);
  for (const part of parts) must(TOKEN.test(part), 'a subject has a token that is none', subject);
}
