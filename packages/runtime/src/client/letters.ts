import {
  encode,
  LetterResult,
  letterSubject,
  LettersDone,
  LettersResult,
  type LettersCommand,
  type LetterVerb,
} from '@meshforge/protocol';
import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import type { Requester } from '../nats/requester.ts';
import { requestPatiently } from './patient-requester.ts';
import { queryResult } from './reply.ts';

/** The dead letters of an agent: commands that it could not execute. */
export class Letters {
  readonly #ask: <T>(verb: LetterVerb, question: object, schema: z.ZodType<T>) => Promise<T | undefined>;

  constructor(options: { agent: string; requester: Requester; clock: Clock; timeoutMs: number }) {
    const { agent, clock, requester, timeoutMs } = options;
    this.#ask = async (verb, question, schema) => {
      const subject = letterSubject(agent, verb);
      const doubt =
        verb === 'list' || verb === 'get' ? 'Nothing changed; ask again' : 'Ask again: a repetition does no harm';
      const request = { subject, body: encode(question), timeoutMs, what: `request ${subject}`, doubt };
      const result = await requestPatiently(requester, clock, request, (message) => {
        const read = queryResult(message, schema);
        return !read.ok && read.refusal.code === 'unavailable'
          ? { done: false, why: read.refusal.reason }
          : { done: true, value: read };
      });
      if (result.ok) return result.value;
      const { code, reason } = result.refusal;
      if (code === 'not_found') return undefined;
      throw new MeshError({ code: 'rejected', message: `${subject}: ${reason} (${code})`, details: result.refusal });
    };
  }

  /** A page, oldest first; `next` of the page goes into `after` for the following. */
  async list(options: { limit?: number; after?: number } = {}): Promise<LettersResult> {
    return (await this.#ask('list', options, LettersResult)) ?? { letters: [] };
  }

  /** One with its headers and body; undefined if there is none. */
  get(id: number): Promise<LetterResult | undefined> {
    return this.#ask('get', { id }, LetterResult);
  }

  /** Puts one, or all that there are, back into the queue, behind what is there. @returns how many; a right of operators */
  replay(which: LettersCommand): Promise<number> {
    return this.#each('replay', which);
  }

  /** Forgets one, or all that there are. @returns how many; a right of operators */
  drop(which: LettersCommand): Promise<number> {
    return this.#each('drop', which);
  }

  async #each(verb: LetterVerb, which: LettersCommand): Promise<number> {
    return (await this.#ask(verb, which, LettersDone))?.letters ?? 0;
  }
}
