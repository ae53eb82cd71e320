import { heldStream, heldSubject, heldWildcard } from '@meshforge/protocol';
import type { HeldCommand } from '../core/companion.ts';
import { digestOf } from './digest.ts';
import { storeExpecting, type HeaderLine } from './expecting.ts';
import { readHeld, type HeldMessage } from './held-message.ts';
import type { PublishResult } from './jetstream-errors.ts';
import type { RequestPort } from './requester.ts';
import { lastMessage, nextMessage, purgeSubject, storedSubjects } from './stored-messages.ts';
import type { StoredMessage } from './stored-message.ts';
import { utf8 } from './utf8.ts';

/** So long after its wait a command that nobody saw to is forgotten, in seconds. */
const GRACE_S = 60;

type Named = Pick<HeldCommand, 'commandId' | 'entityId'>;

/** The stream of an agent's held commands, one subject each. */
export class HeldStream {
  readonly #requester: RequestPort;
  readonly #agent: string;
  readonly #serverNow: () => number;

  constructor(options: { requester: RequestPort; agent: string; serverNow: () => number }) {
    this.#requester = options.requester;
    this.#agent = options.agent;
    this.#serverNow = options.serverNow;
  }

  store(message: HeldMessage, lines: readonly HeaderLine[]): Promise<PublishResult> {
    const seconds = Math.ceil(Math.max(0, message.until - this.#serverNow()) / 1_000) + GRACE_S;
    const body = utf8(JSON.stringify(message));
    return storeExpecting(this.#requester, this.#subjectOf(message), body, [['Nats-TTL', `${seconds}s`], ...lines]);
  }

  /** A command as it is stored; undefined where it is not, or no agent wrote it. @throws NoAnswerError */
  last(command: Named): Promise<{ message: HeldMessage; sequence: number } | undefined> {
    return this.lastOn(this.#subjectOf(command));
  }

  /** The command of a subject, likewise. @throws NoAnswerError */
  async lastOn(subject: string): Promise<{ message: HeldMessage; sequence: number } | undefined> {
    const stored = await lastMessage(this.#requester, heldStream(this.#agent), subject);
    const message = stored === undefined ? undefined : readHeld(subject, stored.data);
    return stored === undefined || message === undefined ? undefined : { message, sequence: stored.sequence };
  }

  /** @param below only what has a lower sequence @throws NoAnswerError */
  purge(command: Named, below?: number): Promise<void> {
    return purgeSubject(this.#requester, heldStream(this.#agent), this.#subjectOf(command), below);
  }

  /** Of all that are stored. @throws NoAnswerError */
  subjects(): Promise<string[]> {
    return storedSubjects(this.#requester, heldStream(this.#agent), heldWildcard(this.#agent));
  }

  /** What a filter lets through, oldest first. @throws NoAnswerError */
  async *messages(filter: string): AsyncGenerator<StoredMessage> {
    for (let next = 1; ;) {
      const message = await nextMessage(this.#requester, heldStream(this.#agent), filter, next);
      if (message === undefined) return;
      yield message;
      next = message.sequence + 1;
    }
  }

  #subjectOf({ entityId, commandId }: Named): string {
    return heldSubject(this.#agent, entityId, digestOf(commandId));
  }
}
