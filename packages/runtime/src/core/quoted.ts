import { printable } from '@meshforge/protocol';

/** Characters of a caller's text that a sentence shows. */
const SHOWN_CHARACTERS = 80;

/** A caller's text within a sentence. */
export function quoted(text: string): string {
  return `"${printable(text, SHOWN_CHARACTERS)}"`;
}
