import type { JsonObject, RejectedPayload } from '@meshforge/protocol';

/** What the store answers. `event` is the last token of the event that tells of it; `payload` is JSON text, made once. */
export type StoreOutcome =
  | { kind: 'committed' | 'replayed'; event: string; payload: string }
  | {
      kind: 'conflict' | 'rejected' | 'denied' | 'unavailable';
      event: string;
      payload: string;
      code: string;
      reason: string;
      /** Of an unavailable one: the rule is defective, and not the log out of reach. */
      defect?: true;
    }
  /** It is answered later; the agent's companion sees to it. */
  | { kind: 'deferred' }
  /** The agent stopped while the fate of a publish was unknown: no answer would be true. */
  | { kind: 'abandoned' };

export function success(kind: 'committed' | 'replayed', event: string, payload: string): StoreOutcome {
  return { kind, event, payload };
}

export function refusal(
  kind: 'conflict' | 'rejected' | 'denied' | 'unavailable',
  payload: RejectedPayload | JsonObject,
): StoreOutcome {
  const event = kind === 'unavailable' ? 'rejected' : kind;
  const { code, reason } = payload as { code?: string; reason: string };
  return { kind, event, payload: JSON.stringify(payload), code: code ?? kind, reason };
}

/** What a command is answered that meets a defective rule. */
export function defectOutcome(payload: RejectedPayload): StoreOutcome {
  const { code, reason } = payload;
  return { kind: 'unavailable', event: 'rejected', payload: JSON.stringify(payload), code, reason, defect: true };
}
