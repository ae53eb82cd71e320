/** Length in Unicode code points: what JSON Schema's `maxLength` counts, and the same in every language. */
export function codePointLength(text: string): number {
  let length = text.length;
  for (let i = 0; i + 1 < text.length; i++) {
    if (isHighSurrogate(text.charCodeAt(i)) && isLowSurrogate(text.charCodeAt(i + 1))) {
      length--;
      i++;
    }
  }
  return length;
}

/** Whether every surrogate is half of a pair; text with a lone one has no UTF-8 form that other languages can read. */
export function isWellFormed(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (isLowSurrogate(unit)) return false;
    if (isHighSurrogate(unit)) {
      if (!isLowSurrogate(text.charCodeAt(i + 1))) return false;
      i++;
    }
  }
  return true;
}

/** What could rewrite a terminal, split a log line or forge a header: controls, formats, separators, lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/**
 * A caller's text as it may stand in an error message: at most `maxCharacters` code points and an ellipsis, and every
 * character that a reader would not see as itself written as `\u{…}`.
 */
export function printable(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters && !UNPRINTABLE.test(text)) return text;
  let shown = '';
  let room = maxCharacters;
  for (const character of text) {
    const spelled = UNPRINTABLE.test(character) ? `\\u{${character.codePointAt(0)?.toString(16)}}` : character;
    room -= codePointLength(spelled);
    if (room < 0) return `${shown}…`;
    shown += spelled;
  }
  return shown;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
