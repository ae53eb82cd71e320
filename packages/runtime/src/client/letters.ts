import {
  LetterResult,
  letterSubject,
  LettersDone,
  LettersResult,
  type LettersCommand,
  type LetterVerb,
} from '@meshforge/protocol';
import type { z } from 'zod';
import type { Asking } from './patient-requester.ts';
import { query } from './query.ts';

/** The dead letters of an agent: commands that it could not execute. */
export class Letters {
  readonly #agent: string;
  readonly #asking: Asking;

  constructor(agent: string, asking: Asking) {
    this.#agent = agent;
    this.#asking = asking;
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

  #ask<T>(verb: LetterVerb, question: object, schema: z.ZodType<T>): Promise<T | undefined> {
    const doubt =
      verb === 'list' || verb === 'get' ? 'Nothing changed; ask again' : 'Ask again: a repetition does no harm';
    return query(this.#asking, letterSubject(this.#agent, verb), { ...question }, schema, doubt);
  }
}
