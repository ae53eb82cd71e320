import {
  decode,
  encode,
  HEADERS,
  inventoryContract,
  letterSubject,
  LettersDone,
  LettersResult,
  statusOfCode,
  type DeadLetter,
  type LetterVerb,
} from '@meshforge/protocol';
import type { z } from 'zod';
import { ask, permissionViolation } from './ask.ts';
import type { CheckContext } from './check-context.ts';
import { CheckFailed, CheckSkipped } from './check.ts';
import { show } from './expect.ts';
import { headerOf } from './reply.ts';
import { requestLine } from './traffic.ts';

const notFound = String(statusOfCode('not_found'));
/** No letter has this id. */
const noLetter = Number.MAX_SAFE_INTEGER;
const pageSize = 1_000;

/** Asks the inventory about its dead letters. @returns undefined when there is no such letter */
export async function askLetters<T>(
  context: CheckContext,
  verb: LetterVerb,
  question: object,
  schema: z.ZodType<T>,
): Promise<T | undefined> {
  const subject = letterSubject(inventoryContract.name, verb);
  context.onLine(requestLine(subject, encode(question)));
  const message = await ask(context.connection, subject, encode(question), { timeoutMs: context.patienceMs });
  const status = headerOf(message, HEADERS.errorCode);
  if (status === notFound) return undefined;
  const result = decode(schema, message.data);
  if (result.ok && status === undefined) return result.value;
  throw new CheckFailed(`${subject} ${show(question)}: expected a result, got ${show(message.string())}`);
}

/** The letter of a command. */
export async function letterOf(context: CheckContext, commandId: string): Promise<DeadLetter | undefined> {
  for (let after = 0; ;) {
    const page = await askLetters(context, 'list', { limit: pageSize, after }, LettersResult);
    const found = page?.letters.find((letter) => letter.command_id === commandId);
    if (found !== undefined || page?.next === undefined) return found;
    after = page.next;
  }
}

/** @returns how many letters it was */
export async function dropLetter(context: CheckContext, id: number): Promise<number> {
  return (await askLetters(context, 'drop', { id }, LettersDone))?.letters ?? 0;
}

/** @throws CheckSkipped when this user may not drop dead letters: what dies would stay for ever */
export async function requireDropping(context: CheckContext): Promise<void> {
  try {
    const dropped = await dropLetter(context, noLetter);
    if (dropped !== 0) throw new CheckFailed(`letter ${noLetter}: expected none of that id, got ${dropped} dropped`);
  } catch (error) {
    if (permissionViolation(error) !== undefined) throw new CheckSkipped('this user may not drop dead letters');
    throw error;
  }
}
