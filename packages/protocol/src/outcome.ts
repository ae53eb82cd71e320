import { ConflictPayload, RejectedPayload, SuccessPayload, type ReplyBody } from './event.ts';
import type { JsonObject } from './primitives.ts';
import { parseSubject } from './subjects.ts';

/**
 * What became of a command. A command is decided in this order, and the first that applies is its outcome:
 *
 * 1. `malformed`: the message is no command that the agent knows (`invalid_command`, `unknown_action`).
 * 2. `replayed`: its id was committed before; this is the first outcome again. Where that is no longer kept: `rejected` with the
 *    code `decided_before`, which says that the command was decided and not that it was refused. An id that was another
 *    command's is `malformed` (`invalid_command`); the other command stands.
 * 3. `rejected`, for its lease: a higher fencing token was seen (`stale_token`), the action asks for a lease that it does
 *    not name (`lease_required`), or the entity remembers as many resources as it can (`too_many_resources`). Before the
 *    conflict, since whoever has lost the lease must not be told to read and try again.
 * 4. `conflict`: it expected another version than the entity has.
 * 5. `rejected`: the entity is absent or present against what the action requires (`not_found`, `already_exists`), or
 *    the agent's own rule refuses it, or it or its result is `too_large`.
 * 6. `denied`: the same, from an agent that answers so (the lock manager).
 * 7. `committed`: it is in the stream.
 *
 * `unavailable`: it could not be decided now (`unavailable`, `contended`) and changed nothing; the same command with
 * the same id may be sent again.
 */
export type Outcome<State = JsonObject, Data = JsonObject, Denied = JsonObject> =
  | { kind: 'malformed'; event: string; payload: RejectedPayload }
  | { kind: 'replayed'; event: string; payload: SuccessPayload<State, Data> }
  | { kind: 'conflict'; event: string; payload: ConflictPayload }
  | { kind: 'rejected'; event: string; payload: RejectedPayload }
  | { kind: 'denied'; event: string; payload: Denied }
  | { kind: 'committed'; event: string; payload: SuccessPayload<State, Data> }
  | { kind: 'unavailable'; event: string; payload: RejectedPayload };

/**
 * Reads the reply to a command.
 * @param replayed whether the reply carried the header `Mesh-Replayed: true`.
 * @returns undefined when the reply is none of PROTOCOL's.
 */
export function readOutcome(reply: ReplyBody, replayed: boolean): Outcome | undefined {
  const subject = parseSubject(reply.event);
  if (subject?.kind !== 'event') return undefined;
  const { event } = reply;
  switch (subject.event) {
    case 'conflict': {
      const payload = ConflictPayload.safeParse(reply.payload);
      return payload.success ? { kind: 'conflict', event, payload: payload.data } : undefined;
    }
    case 'rejected': {
      const payload = RejectedPayload.safeParse(reply.payload);
      return payload.success ? { kind: rejectionKind(payload.data.code), event, payload: payload.data } : undefined;
    }
    case 'denied': {
      return { kind: 'denied', event, payload: reply.payload };
    }
    default: {
      const payload = SuccessPayload.safeParse(reply.payload);
      return payload.success ? { kind: replayed ? 'replayed' : 'committed', event, payload: payload.data } : undefined;
    }
  }
}

function rejectionKind(code: string): 'malformed' | 'rejected' | 'unavailable' {
  if (code === 'unavailable' || code === 'contended') return 'unavailable';
  return code === 'invalid_command' || code === 'unknown_action' ? 'malformed' : 'rejected';
}
