/** What must be known of JSON from strangers before and after it is parsed. */

/** Levels of nesting, counted on the text so that nothing recursive sees a deep value. */
export function depthOf(text: string): number {
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

/** Whether a text may hold a `__proto__` key, however it is spelled; hardly any message does, so this look is cheap. */
export function mayHoldProtoKey(text: string): boolean {
  return /__proto__|\\u/.test(text);
}

/** Keys that lead to the first `__proto__` key; such a key makes copies of the value change their prototype. */
export function findProtoKey(value: unknown): string[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    if (key === '__proto__') return [key];
    const found = findProtoKey(inner);
    if (found !== undefined) return [key, ...found];
  }
  return undefined;
}
