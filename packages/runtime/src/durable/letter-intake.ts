/** From a message on `letters.<agent>.<verb>` to its answer. */
import {
  decode,
  LETTER_VERBS,
  LetterQuery,
  letterSubject,
  LettersCommand,
  LettersQuery,
  LIMITS,
  printable,
  statusOfCode,
  type Decoded,
  type LetterResult,
  type LettersResult,
  type RejectedPayload,
} from '@meshforge/protocol';
import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import { MeshError } from '../errors.ts';
import { answerable, withError, type Voice } from '../intake/reply.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { DeadLetters, WholeLetter } from './dead-letters.ts';

export interface LetterIntakeOptions {
  agent: string;
  connection: NatsConnection;
  voice: Voice;
  letters: DeadLetters;
  inboxPrefix: string;
  maxPayload: () => number;
  /** Does what a letter is of once more; it is dropped after that. @returns why it could not */
  replay: (letter: WholeLetter) => Promise<string | undefined>;
  onFault: (error: unknown) => void;
}

/** What an answer has beside its result, in bytes. */
const FRAME_BYTES = 4_096;

class Refused extends Error {
  readonly code: string;
  constructor(code: string, reason: string) {
    super(reason);
    this.code = code;
  }
}

/** Answers what is asked about an agent's dead letters; any replica can. */
export class LetterIntake {
  readonly #options: LetterIntakeOptions;
  readonly #subscriptions: Subscription[];
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: LetterIntakeOptions) {
    this.#options = options;
    this.#subscriptions = LETTER_VERBS.map((verb) =>
      options.connection.subscribe(letterSubject(options.agent, verb), {
        queue: options.agent,
        callback: (error, message) => {
          if (error === null) this.#handle(verb, message);
        },
      }),
    );
  }

  async stop(): Promise<void> {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    await Promise.all(this.#underWay);
  }

  #handle(verb: (typeof LETTER_VERBS)[number], message: Msg): void {
    const { inboxPrefix, onFault } = this.#options;
    // Nothing happens that nobody can be told of.
    if (answerable(message, inboxPrefix) !== 'yes') return;
    const work: Promise<void> = this.#answer(verb, message)
      .catch(onFault)
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  async #answer(verb: (typeof LETTER_VERBS)[number], message: Msg): Promise<void> {
    const { onFault, voice } = this.#options;
    const reply = message.reply as string;
    try {
      voice.answer(reply, JSON.stringify(await this.#do(verb, message.data)), []);
    } catch (error) {
      const isOurs = error instanceof Refused || error instanceof NoAnswerError;
      if (!isOurs) onFault(error);
      const code = error instanceof Refused ? error.code : 'unavailable';
      const reason = isOurs ? error.message : 'it failed: try again in a second';
      const action = printable(`letters ${verb}`, LIMITS.nameCharacters);
      const payload: RejectedPayload = { entity_id: null, action, code, reason };
      const body = JSON.stringify({ event: voice.subject('rejected'), payload });
      voice.answer(reply, body, withError([], { status: statusOfCode(code), reason }));
    }
  }

  #do(verb: (typeof LETTER_VERBS)[number], data: Uint8Array): Promise<unknown> {
    switch (verb) {
      case 'list':
        return this.#list(valid(decode(LettersQuery, data)));
      case 'get':
        return this.#get(valid(decode(LetterQuery, data)).id);
      case 'replay':
        return this.#each(valid(decode(LettersCommand, data)), (letter) => this.#replay(letter));
      case 'drop':
        return this.#each(valid(decode(LettersCommand, data)), async () => {});
    }
  }

  async #list({ after, limit }: LettersQuery): Promise<LettersResult> {
    const letters: LettersResult['letters'] = [];
    let room = this.#options.maxPayload() - FRAME_BYTES;
    for (let last = after; ;) {
      const found = await this.#options.letters.after(last);
      if (found === undefined) return { letters };
      room -= Buffer.byteLength(JSON.stringify(found.letter)) + 1;
      if (letters.length === limit || (room < 0 && letters.length > 0)) return { letters, next: last };
      letters.push(found.letter);
      last = found.letter.id;
    }
  }

  async #get(id: number): Promise<LetterResult> {
    const { letters, maxPayload } = this.#options;
    const found = await letters.get(id);
    if (found === undefined) throw notFound(id);
    const result = { ...found.letter, headers: found.headers, body: new TextDecoder().decode(found.data) };
    if (Buffer.byteLength(JSON.stringify(result)) + FRAME_BYTES > maxPayload()) {
      throw new Refused('too_large', `letter ${id} is too large for an answer: read it from the stream`);
    }
    return result;
  }

  /** One letter, or each that there is now; those that come meanwhile are not meant. */
  async #each(which: LettersCommand, act: (letter: WholeLetter) => Promise<void>): Promise<{ letters: number }> {
    const { letters } = this.#options;
    let count = 0;
    if ('id' in which) {
      const found = await letters.get(which.id);
      if (found === undefined) throw notFound(which.id);
      await act(found);
      return { letters: (await letters.drop(which.id)) ? 1 : 0 };
    }
    const newest = await letters.newest();
    for (let last = 0; ;) {
      const found = await letters.after(last);
      // One that has died again meanwhile must not be replayed for ever.
      if (found === undefined || found.letter.id > newest) return { letters: count };
      await act(found);
      if (await letters.drop(found.letter.id)) count++;
      last = found.letter.id;
    }
  }

  async #replay(letter: WholeLetter): Promise<void> {
    let why: string | undefined;
    let code = 'unavailable';
    try {
      why = await this.#options.replay(letter);
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
      if (error instanceof MeshError && error.code === 'rejected') code = 'invalid_command';
    }
    if (why !== undefined) throw new Refused(code, `letter ${letter.letter.id} could not be replayed: ${why}`);
  }
}

function notFound(id: number): Refused {
  return new Refused('not_found', `the agent has no dead letter ${id}`);
}

function valid<T>(decoded: Decoded<T>): T {
  if (decoded.ok) return decoded.value;
  throw new Refused(decoded.code, decoded.reason);
}
