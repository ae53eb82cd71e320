/** What is known to be wrong, told apart from what is new. An entry leaves together with its fault. */
const KNOWN_FINDINGS: readonly { target: string; what: RegExp }[] = [];

export function isKnown({ target, what }: { target: string; what: string }): boolean {
  return KNOWN_FINDINGS.some((known) => known.target === target && known.what.test(what));
}
