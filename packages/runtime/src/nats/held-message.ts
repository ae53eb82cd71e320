import { parseHeldSubject } from '@meshforge/protocol';
import { z } from 'zod';
import type { HeldCommand } from '../core/companion.ts';
import type { StoreOutcome } from '../core/outcome.ts';
import { digestOf } from './digest.ts';

/** A held command as it is stored; with its answer, once a replica has made that its own to give. */
export type HeldMessage = HeldCommand & { answer?: { by: string; outcome: StoreOutcome } | undefined };

const told = { event: z.string(), payload: z.string() };

const Outcome = z.union([
  z.object({ kind: z.enum(['committed', 'replayed']), ...told }),
  z.object({
    kind: z.enum(['conflict', 'rejected', 'denied', 'unavailable']),
    ...told,
    code: z.string(),
    reason: z.string(),
    defect: z.literal(true).optional(),
  }),
]);

const Held = z.object({
  entityId: z.string(),
  action: z.string(),
  lease: z.object({ resource: z.string(), fencingToken: z.number() }).optional(),
  data: z.record(z.string(), z.unknown()),
  commandId: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  reply: z.string(),
  since: z.number(),
  until: z.number(),
  keeper: z.string(),
  answer: z.object({ by: z.string(), outcome: Outcome }).optional(),
});

/** A command as it stands under its own subject; undefined for what no agent wrote. */
export function readHeld(subject: string, data: Uint8Array): HeldMessage | undefined {
  const place = parseHeldSubject(subject);
  try {
    const message = Held.parse(JSON.parse(Buffer.from(data).toString())) as HeldMessage;
    const isAtHome = place?.entityId === message.entityId && place.key === digestOf(message.commandId);
    return isAtHome ? message : undefined;
  } catch {
    return undefined;
  }
}

/** Tells apart how often a command was taken in, and each retry of it, which waits for an answer of its own. */
export function takeOf({ commandId, reply, since }: HeldCommand): string {
  return JSON.stringify([commandId, since, reply]);
}
