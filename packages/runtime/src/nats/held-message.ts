import { z } from 'zod';
import type { HeldCommand } from '../core/companion.ts';

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
});

/** Undefined for what no agent wrote. */
export function readHeld(data: Uint8Array): HeldCommand | undefined {
  try {
    return Held.parse(JSON.parse(Buffer.from(data).toString()));
  } catch {
    return undefined;
  }
}
