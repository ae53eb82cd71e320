import type { JsonObject, RejectedPayload } from '@meshforge/protocol';

/** What the store answers. `event` is the last token of the event that tells of it; `payload` is JSON text, made once. */
export type StoreOutcome =
  | { kind: 'committed' | 'replayed'; event: string; payload: string }
  | RefusedOutcome
  /**
   * It was decided before, and how is no longer known. Nothing was refused, so no event tells of it.
   * `isCommitted`: it is known to be in the log; else it may have been refused.
   */
  | { kind: 'decided_before'; isCommitted: boolean; event: string; payload: string; code: string; reason: string }
  /** It is answered later; the agent's companion sees to it. */
  | { kind: 'deferred' }
  /** The agent stopped while the fate of a publish was unknown: no answer would be true. */
  | { kind: 'abandoned' };

export interface RefusedOutcome {
  kind: 'conflict' | 'rejected' | 'denied' | 'unavailable';
  event: string;
  payload: string;
  code: string;
  reason: string;
  /** The same command was refused before; this is what it was told then. */
  isReplayed?: true;
  /** Of an unavailable one: the rule is defective, and not the log out of reach. */
  isDefect?: true;
}

export function success(kind: 'committed' | 'replayed', event: string, payload: string): StoreOutcome {
  return { kind, event, payload };
}

export function refusal(kind: RefusedOutcome['kind'], payload: RejectedPayload | JsonObject): RefusedOutcome {
  const event = kind === 'unavailable' ? 'rejected' : kind;
  const { code, reason } = payload as { code?: string; reason: string };
  return { kind, event, payload: JSON.stringify(payload), code: code ?? kind, reason };
}

/** A command that was decided before, with an outcome that is no longer kept. */
export function decidedBefore(
  { action, commandId, entityId }: { action: string; commandId: string; entityId: string },
  isCommitted: boolean,
): StoreOutcome {
  const what = isCommitted ? 'was committed before; its outcome is' : 'was decided before, and how is';
  const reason = `command ${commandId} ${what} no longer kept: see the history of the entity`;
  const payload: RejectedPayload = { entity_id: entityId, action, code: 'decided_before', reason };
  const { kind: _rejected, ...told } = refusal('rejected', payload);
  return { kind: 'decided_before', isCommitted, ...told };
}
