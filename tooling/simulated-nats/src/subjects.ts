/** Subjects: matching, validity, and the mapping of a republish. */

const tokenCache = new Map<string, readonly string[]>();

/** The tokens of a subject or filter. */
export function tokensOf(subject: string): readonly string[] {
  let tokens = tokenCache.get(subject);
  if (tokens === undefined) {
    tokens = subject.split('.');
    if (tokenCache.size > 50_000) tokenCache.clear();
    tokenCache.set(subject, tokens);
  }
  return tokens;
}

export function isWildcard(filter: string): boolean {
  return tokensOf(filter).some((token) => token === '*' || token === '>');
}

export function isMatch(subject: string, filter: string): boolean {
  if (subject === filter || filter === '>' || filter === '') return true;
  return areTokensMatched(tokensOf(subject), tokensOf(filter));
}

function areTokensMatched(subject: readonly string[], filter: readonly string[]): boolean {
  for (let i = 0; i < filter.length; i++) {
    const wanted = filter[i];
    if (wanted === '>') return subject.length > i;
    if (i >= subject.length || (wanted !== '*' && wanted !== subject[i])) return false;
  }
  return subject.length === filter.length;
}

/** Whether everything that one filter matches is matched by the other. */
export function isSubset(narrow: string, wide: string): boolean {
  if (narrow === wide || wide === '>' || wide === '') return true;
  const inner = tokensOf(narrow);
  const outer = tokensOf(wide);
  for (let i = 0; i < outer.length; i++) {
    if (outer[i] === '>') return inner.length > i;
    const token = inner[i];
    if (token === undefined || token === '>') return false;
    if (outer[i] === '*') continue;
    if (token !== outer[i]) return false;
  }
  return inner.length === outer.length;
}

/** Whether a subject can match both filters. */
export function doCollide(one: string, other: string): boolean {
  const left = tokensOf(one);
  const right = tokensOf(other);
  for (let i = 0; ; i++) {
    const a = left[i];
    const b = right[i];
    if (a === undefined || b === undefined) return a === b;
    if (a === '>' || b === '>') return true;
    if (a !== b && a !== '*' && b !== '*') return false;
  }
}

/** Whether something can be published there. */
export function isPublishSubject(subject: string): boolean {
  return subject !== '' && !/\s/.test(subject) && tokensOf(subject).every((t) => t !== '' && t !== '*' && t !== '>');
}

export type Mapping = (subject: string) => string | undefined;

/** A subject mapping such as that of a republish: from `a.*.*` to `b.{{wildcard(2)}}`. Undefined for what does not match. */
export function subjectMapping(source: string, destination: string): Mapping {
  const sourceTokens = tokensOf(source);
  const stars = sourceTokens.flatMap((token, at) => (token === '*' ? [at] : []));
  const parts = tokensOf(destination).map((token) => {
    const at = /^\{\{\s*wildcard\((\d+)\)\s*\}\}$/.exec(token)?.[1] ?? /^\$(\d+)$/.exec(token)?.[1];
    return at === undefined ? token : (stars[Number(at) - 1] ?? token);
  });
  return (subject) => {
    if (!isMatch(subject, source)) return undefined;
    const tokens = tokensOf(subject);
    return parts
      .map((part) => (typeof part === 'number' ? tokens[part] : part))
      .flatMap((part) => (part === '>' ? tokens.slice(sourceTokens.indexOf('>')) : [part]))
      .join('.');
  };
}
