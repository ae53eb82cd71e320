import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { codePointLength, isWellFormed } from './text.ts';

/** Text of `minCharacters` (1 unless given) to `maxCharacters` Unicode code points without lone surrogates. */
export function boundedText(maxCharacters: number, minCharacters: 0 | 1 = 1): z.ZodType<string, string> {
  return z
    .string()
    .min(minCharacters)
    .refine((text) => text.length <= maxCharacters || codePointLength(text) <= maxCharacters, {
      error: (issue) => `expected at most ${maxCharacters} characters, got ${codePointLength(String(issue.input))}`,
    })
    .refine(isWellFormed, { error: 'expected Unicode text, got a lone surrogate' })
    .meta({ maxLength: maxCharacters });
}

/** Any text of 1–256 characters names an entity. */
export const EntityId = boundedText(LIMITS.entityIdCharacters);

/** A version of a live entity: 1, 2, 3, …; each is the result of exactly one command. */
export const EntityVersion = z.int().min(1);

/** A version where 0 means "no live entity": never created, or deleted. */
export const VersionOrNone = z.int().min(0);

/** RFC 3339 in UTC with milliseconds, as `Date.prototype.toISOString` writes it. */
export const Timestamp = z.iso.datetime({
  precision: 3,
  error: 'expected a UTC time with milliseconds, such as 2026-01-31T12:00:00.000Z',
});

/** An object as JSON knows it. Its inside is checked by the schema of the action or the state. */
export type JsonObject = { [key: string]: unknown };
export const JsonObject = z
  .custom<JsonObject>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), {
    error: 'expected an object',
  })
  .meta({ type: 'object' });
