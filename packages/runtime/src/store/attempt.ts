/** A commit on its way: what is published, and what the entity will be once it is stored. */
import { LIMITS, type JsonObject } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { rejected, type Command, type CommitPlan } from '../core/decide.ts';
import { inlineOutcome, type Entity } from '../core/entity.ts';
import { RECENT_BYTES, RECENT_COMMANDS, remember, trim } from '../core/recent.ts';
import type { CommitMessage } from '../nats/commit-publisher.ts';
import { utf8 } from '../nats/utf8.ts';
import { refusal, type StoreOutcome } from '../core/outcome.ts';

export interface Attempt {
  message: CommitMessage;
  /** The event's payload as JSON text. */
  payload: string;
  /** What the event adds to the state. */
  data: JsonObject | undefined;
  entityAt: (sequence: number) => Entity;
}

/** The server allows this many bytes of headers; the body gets the rest of its largest message. */
const HEADER_BYTES = 65_536;

/** Turns a plan into the message that carries it out, or into the refusal of one that the stream cannot hold. */
export function prepareAttempt(
  agent: AnyAgent,
  entity: Entity,
  command: Command,
  plan: CommitPlan,
  maxPayload: number,
): Attempt | StoreOutcome {
  const { entityId, commandId, digest, headers } = command;
  const { event, version, state, data, expiresAt, aside, notes, fences } = plan;
  const payload = JSON.stringify({ entity_id: entityId, entity_version: version, state, data });
  const body = utf8(payload);
  const tooLarge = reasonTooLarge(state, body.length, maxPayload - HEADER_BYTES);
  if (tooLarge !== undefined) return refusal('rejected', rejected(command, 'too_large', tooLarge).payload);
  const expiryEvent = agent.lease?.expiryEvent;
  const lease = expiresAt === undefined || expiryEvent === undefined ? undefined : { endsAt: expiresAt, expiryEvent };
  // The headers of one message have a bound together.
  const recent = trim(entity.recent, RECENT_COMMANDS, RECENT_BYTES - notes.length).text;
  return {
    payload,
    data,
    message: {
      entityId,
      event,
      expectedSequence: entity.sequence,
      body,
      commandId,
      recent,
      fences,
      headers,
      lease,
      standing: entity.lease,
      aside,
      notes,
    },
    entityAt: (sequence) => {
      const inline = lease === undefined ? undefined : inlineOutcome(event, { state, data });
      return {
        sequence,
        version,
        state,
        notes,
        fences,
        bytes: body.length + recent.length + notes.length + fences.length,
        recent:
          aside === 'forgotten'
            ? entity.recent
            : remember(entity.recent, { digest, version, sequence, inline }, RECENT_BYTES - notes.length),
        ...(lease !== undefined
          ? { lease: { endsAt: lease.endsAt, event, version } }
          : aside !== undefined && entity.lease !== undefined
            ? { lease: entity.lease }
            : {}),
      };
    },
  };
}

function reasonTooLarge(state: JsonObject | null, bodyBytes: number, room: number): string | undefined {
  if (bodyBytes > LIMITS.stateBytes) {
    const stateBytes = Buffer.byteLength(JSON.stringify(state));
    if (stateBytes > LIMITS.stateBytes) {
      return `the state would have ${stateBytes} bytes: expected at most ${LIMITS.stateBytes}`;
    }
  }
  return bodyBytes > room ? `the event would have ${bodyBytes} bytes: the server takes at most ${room}` : undefined;
}
