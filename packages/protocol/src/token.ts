import { isWellFormed } from './text.ts';

const PLAIN = /^[A-Za-z0-9_-]+$/;
const RESERVED = /[.!~*'()]/g;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const ENCODED_SURROGATE = /%ED%[AB][0-9A-F]%[89AB][0-9A-F]/g;
/** No other text encodes to a bare `%`, so it can stand for the empty one, which would be no token at all. */
const EMPTY = '%';

/**
 * Percent-encodes any text into one NATS subject token: UTF-8, everything but `A-Z a-z 0-9 _ -` escaped with upper-case
 * hex digits. Total and reversible: {@link decodeToken} gives the text back, for every JavaScript string (a lone
 * surrogate becomes its three generalised UTF-8 bytes, the empty text a single `%`).
 */
export function encodeToken(text: string): string {
  if (PLAIN.test(text)) return text;
  if (text === '') return EMPTY;
  const wellFormed = isWellFormed(text);
  // encodeURIComponent throws on lone surrogates; they are encoded around it.
  const encoded = wellFormed
    ? encodeURIComponent(text)
    : splitKeeping(text, LONE_SURROGATE)
        .map(({ part, match }) => (match ? encodeLoneSurrogate(part) : encodeURIComponent(part)))
        .join('');
  return encoded.replace(RESERVED, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The text of a token, or undefined for anything that {@link encodeToken} does not produce. */
export function decodeToken(token: string): string | undefined {
  if (PLAIN.test(token)) return token;
  if (token === EMPTY) return '';
  let text: string;
  try {
    text = splitKeeping(token, ENCODED_SURROGATE)
      .map(({ part, match }) => (match ? decodeLoneSurrogate(part) : decodeURIComponent(part)))
      .join('');
  } catch {
    return undefined;
  }
  // Only one spelling of each text is accepted: otherwise one entity could have two logs.
  return encodeToken(text) === token ? text : undefined;
}

function encodeLoneSurrogate(character: string): string {
  const unit = character.charCodeAt(0);
  const bytes = [0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)];
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase()}`).join('');
}

function decodeLoneSurrogate(escape: string): string {
  const [first = 0, second = 0, third = 0] = escape
    .split('%')
    .slice(1)
    .map((hex) => Number.parseInt(hex, 16));
  return String.fromCharCode(((first & 0x0f) << 12) | ((second & 0x3f) << 6) | (third & 0x3f));
}

function splitKeeping(text: string, pattern: RegExp): { part: string; match: boolean }[] {
  const parts: { part: string; match: boolean }[] = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push({ part: text.slice(end, found.index), match: false }, { part: found[0], match: true });
    end = found.index + found[0].length;
  }
  parts.push({ part: text.slice(end), match: false });
  return parts;
}
