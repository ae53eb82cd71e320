import type { JsonObject } from '@meshforge/protocol';
import type { Answer } from '../history.ts';

/** What became of a try: an answer, or why there is none. */
export type Outcome =
  | { readonly kind: 'answered'; readonly answer: Answer }
  /** An agent said "not now". */
  | { readonly kind: 'unavailable'; readonly why: string }
  /** Nothing came, and nobody knows. */
  | { readonly kind: 'timeout'; readonly why: string };

interface Read {
  readonly kind: Answer['kind'] | 'malformed' | 'unavailable';
  readonly event: string;
  readonly payload: object;
}

/** A reply as the protocol reads it, as the history tells it. */
export function toOutcome({ kind, event, payload }: Read): Outcome {
  // A payload is JSON that came over the wire, whatever its type says.
  const told = payload as JsonObject;
  if (kind === 'unavailable') return { kind, why: String(told['reason']) };
  return { kind: 'answered', answer: { kind: kind === 'malformed' ? 'rejected' : kind, event, payload: told } };
}
