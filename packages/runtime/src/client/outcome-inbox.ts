import type { Outcome } from '@meshforge/protocol';
import { createInbox, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { within, type Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import { outcomeOf } from './reply.ts';

/** Where one outcome will be told. */
export interface OutcomeInbox {
  readonly subject: string;
  /** @throws MeshError `timeout`, `protocol` */
  told(timeoutMs: number, what: string): Promise<Outcome>;
}

type Telling = { outcome: Outcome } | { error: unknown };

/** What one who waits for an outcome has. */
class Awaited implements OutcomeInbox {
  readonly subject: string;
  readonly #clock: Clock;
  #telling: Telling | undefined;
  #tell: (() => void)[] = [];

  constructor(subject: string, clock: Clock) {
    this.subject = subject;
    this.#clock = clock;
  }

  take(telling: Telling): void {
    this.#telling ??= telling;
    for (const tell of this.#tell) tell();
    this.#tell = [];
  }

  async told(timeoutMs: number, what: string): Promise<Outcome> {
    if (this.#telling === undefined) {
      const told = new Promise<void>((resolve) => this.#tell.push(resolve));
      await within(this.#clock, timeoutMs, told);
    }
    const telling = this.#telling;
    if (telling === undefined) {
      throw new MeshError({
        code: 'timeout',
        message: `${what} was not told within ${timeoutMs} ms. The command is stored, or it was executed: see the entity's history`,
        details: { timeoutMs },
      });
    }
    if ('error' in telling) throw telling.error;
    return telling.outcome;
  }
}

/**
 * One wildcard inbox for the outcomes of all durable commands of a connection. An outcome that nobody can ask for any more is
 * forgotten: commands can be sent for a far later time, and most senders never ask.
 */
export class Inboxes {
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #inbox: string;
  readonly #awaited = new Map<string, WeakRef<Awaited>>();
  readonly #forgotten = new FinalizationRegistry<string>((token) => this.#awaited.delete(token));
  #isOpen = false;
  #next = 0;

  constructor(connection: NatsConnection, inboxPrefix: string, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#inbox = `${createInbox(inboxPrefix)}.`;
  }

  open(): OutcomeInbox {
    if (!this.#isOpen) this.#listen();
    const token = (this.#next++).toString(36);
    const awaited = new Awaited(this.#inbox + token, this.#clock);
    this.#awaited.set(token, new WeakRef(awaited));
    this.#forgotten.register(awaited, token);
    return awaited;
  }

  #listen(): void {
    this.#isOpen = true;
    this.#connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#see(message);
      },
    });
  }

  #see(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length);
    const awaited = this.#awaited.get(token)?.deref();
    this.#awaited.delete(token);
    try {
      awaited?.take({ outcome: outcomeOf(message) });
    } catch (error) {
      awaited?.take({ error });
    }
  }
}
