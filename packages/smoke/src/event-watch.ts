import { isDeepStrictEqual } from 'node:util';
import { decodeJson, eventWildcard, HEADERS, type JsonObject } from '@meshforge/protocol';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { CannotRun, Interrupted } from './cannot-run.ts';
import { CheckFailed } from './check.ts';
import { describeError } from './describe-error.ts';
import { show } from './expect.ts';
import { headerOf, type Reply } from './reply.ts';

/** More events than a run makes: reached only when something else uses this run's ids. */
const maxKept = 20_000;
/** Interest reaches the other members of a cluster a little after the server that was asked. */
const clusterSettleMs = 100;

/** An event that went over the wire and is about this run. */
export interface SeenEvent {
  readonly subject: string;
  readonly payload: JsonObject;
  /** Local, monotonic. */
  readonly arrivedAtMs: number;
  header(name: string): string | undefined;
}

type Match = (event: SeenEvent) => boolean;

/** All live events about one run's entities, kept from before its first command, so that none can be missed. */
export class EventWatch {
  readonly #run: string;
  readonly #patienceMs: number;
  readonly #signal: AbortSignal;
  readonly #onEvent: (event: SeenEvent) => void;
  readonly #seen: SeenEvent[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(run: string, patienceMs: number, signal: AbortSignal, onEvent: (event: SeenEvent) => void) {
    this.#run = run;
    this.#patienceMs = patienceMs;
    this.#signal = signal;
    this.#onEvent = onEvent;
  }

  /** Resolves when the server delivers. @throws CannotRun when this user may not subscribe. */
  static async open(
    connection: NatsConnection,
    agents: readonly string[],
    options: { run: string; patienceMs: number; signal: AbortSignal; onEvent: (event: SeenEvent) => void },
  ): Promise<EventWatch> {
    const watch = new EventWatch(options.run, options.patienceMs, options.signal, options.onEvent);
    const refusals: Error[] = [];
    for (const agent of agents) {
      const callback = (error: Error | null, message: Msg): void => {
        if (error === null) watch.#keep(message);
        else refusals.push(error);
      };
      connection.subscribe(eventWildcard(agent), { callback });
    }
    await connection.flush();
    const [refusal] = refusals;
    if (refusal !== undefined) throw mayNotSubscribe(refusal);
    if (connection.info?.cluster !== undefined) await new Promise((resolve) => setTimeout(resolve, clusterSettleMs));
    return watch;
  }

  /** What was seen so far, oldest first. */
  seen(match: Match): SeenEvent[] {
    return this.#seen.filter(match);
  }

  /** The first event that matches, seen already or yet to come. @throws CheckFailed when none comes in time. */
  async next(what: string, match: Match, patienceMs = this.#patienceMs): Promise<SeenEvent> {
    const [first] = await this.atLeast(1, what, match, patienceMs);
    if (first === undefined) throw new CheckFailed(`${what} was not seen`);
    return first;
  }

  /** The first events that match, as soon as there are `count`. @throws CheckFailed when they do not come in time. */
  async atLeast(count: number, what: string, match: Match, patienceMs = this.#patienceMs): Promise<SeenEvent[]> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const found = this.seen(match);
      if (found.length >= count) return found;
      if (this.#signal.aborted) throw new Interrupted();
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw this.#missing(count, what, found.length, patienceMs);
      await this.#change(leftMs);
    }
  }

  /** The event that a reply speaks of: the same subject, the same payload. */
  async announced(reply: Reply): Promise<SeenEvent> {
    return await this.next(
      `${reply.event} on the wire with the payload of the reply, ${show(reply.payload)},`,
      (event) => event.subject === reply.event && isDeepStrictEqual(event.payload, reply.payload),
    );
  }

  #keep(message: Msg): void {
    const text = message.string();
    // Events without an entity, such as the rejection of a broken body, are known by the command's id.
    const about = text.includes(this.#run) || headerOf(message, HEADERS.commandId)?.startsWith(this.#run) === true;
    if (!about || this.#seen.length >= maxKept) return;
    const body = decodeJson(message.data);
    const event: SeenEvent = {
      subject: message.subject,
      payload: body.ok ? (body.value as JsonObject) : { unreadable: text },
      arrivedAtMs: performance.now(),
      header: (name) => headerOf(message, name),
    };
    this.#seen.push(event);
    this.#onEvent(event);
    for (const wake of this.#waiting) wake();
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#signal.addEventListener('abort', done);
      this.#waiting.add(done);
    });
  }

  #missing(count: number, what: string, found: number, patienceMs: number): CheckFailed {
    const last = this.#seen.slice(-5).map((event) => `${event.subject} ${show(event.payload)}`);
    const instead = last.length === 0 ? 'no event of this run at all' : `last seen: ${last.join('; ')}`;
    const times = count === 1 ? '' : ` ${count} times (came ${found} times)`;
    return new CheckFailed(`expected ${what}${times} within ${patienceMs} ms; ${instead}`);
  }
}

function mayNotSubscribe(cause: Error): CannotRun {
  return new CannotRun({
    problem: 'this user may not see the events',
    tried: describeError(cause),
    expected: 'permission to subscribe evt.>',
    remedy: 'use a user with the permissions of a client of the mesh',
    cause,
  });
}
