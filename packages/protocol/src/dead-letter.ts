/** Commands that could not be executed, and how an agent is asked about them. */
import { z } from 'zod';
import { Timestamp } from './primitives.ts';

/** Header `Mesh-Dead-Letter`: what is known of a dead letter beside its bytes. */
export const DeadLetterNote = z.object({
  /** Where it was: `queue.cmd.<agent>.<entity>.<action>`. */
  subject: z.string(),
  /** In the stream that it comes from. */
  sequence: z.int().min(1),
  code: z.string(),
  reason: z.string(),
  tries: z.int().min(1),
  stored_at: Timestamp,
  died_at: Timestamp,
});
export type DeadLetterNote = z.output<typeof DeadLetterNote>;

/** A dead letter without its bytes. `id` is its place in `DEAD_LETTERS`. */
export const DeadLetter = z.object({
  id: z.int().min(1),
  ...DeadLetterNote.shape,
  command_id: z.string(),
  /** Null where its subject names none. */
  entity_id: z.string().nullable(),
  bytes: z.int().min(0),
});
export type DeadLetter = z.output<typeof DeadLetter>;

const LetterId = z.int().min(1);
const LETTERS = 1_000;

/** `letters.<agent>.list` */
export const LettersQuery = z.strictObject({
  limit: z.int().min(1).max(LETTERS).default(100),
  /** Only letters after this one; `next` of a page asks for the following. */
  after: z.int().min(0).default(0),
});
export type LettersQuery = z.output<typeof LettersQuery>;
/** Oldest first; `next` is there when more follow. */
export const LettersResult = z.object({ letters: z.array(DeadLetter), next: z.int().optional() });
export type LettersResult = z.output<typeof LettersResult>;

/** `letters.<agent>.get` */
export const LetterQuery = z.strictObject({ id: LetterId });
export const LetterResult = z.object({
  ...DeadLetter.shape,
  headers: z.array(z.tuple([z.string(), z.string()])),
  /** As text; what is not UTF-8 is replaced. */
  body: z.string(),
});
export type LetterResult = z.output<typeof LetterResult>;

/** `letters.<agent>.replay` and `letters.<agent>.drop`: one, or all that the agent has. */
export const LettersCommand = z.union([z.strictObject({ id: LetterId }), z.strictObject({ all: z.literal(true) })], {
  error: 'expected { "id": … } or { "all": true }',
});
export type LettersCommand = z.output<typeof LettersCommand>;
/** How many letters it was. */
export const LettersDone = z.object({ letters: z.int().min(0) });
