import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/nats-core';
import type { Clock } from '../../../src/clock.ts';
import type { Answer, Requester } from '../../../src/nats/requester.ts';
import { sleepUntil } from '../simulated-time.ts';
import type { SimulatedBroker } from './broker.ts';
import { linesOf, messageOf, type Lines } from './messages.ts';

/** What a process asks of the server, by what it is for; and what the server delivers to it. */
export type Kind =
  | 'ack'
  | 'delivery'
  | 'pull'
  | 'commit'
  | 'refusal'
  | 'decision'
  | 'letter'
  | 'delete'
  | 'read'
  | 'unpin';

/** What becomes of something sent: it does not arrive, or nobody hears what came of it. */
export type Loss = 'before' | 'after';

/** A message takes at most so many milliseconds, each way. */
const WAY_MS = 2;

/**
 * One process and its connection: its clock, what it sends and what it hears. What it sends of one kind arrives in order, and so
 * does all that it hears. It may die at any wait; freeze, which it notices by nothing but the clock; lose its connection; or be
 * slow to get through.
 */
export class SimulatedLink {
  readonly #broker: SimulatedBroker;
  readonly requester: Requester;
  readonly #loss: (kind: Kind) => Loss | undefined;
  readonly #pending = new Set<(answer: Answer) => void>();
  readonly #sentAt = new Map<Kind, number>();
  readonly #backlog: { isTimer: boolean; run: () => void }[] = [];
  #statuses: ((type: string) => void)[] = [];
  #callback: (message: Msg) => void = () => {};
  #heardAt = 0;
  #slowUntil = 0;
  /** Counts connections: what was under way on an older one is lost. */
  #inward = 0;
  #outward = 0;
  #isUp = true;
  #isDead = false;
  #isFrozen = false;
  #isHeardOf = true;

  /** @param loss asked for everything that is sent */
  constructor(broker: SimulatedBroker, timeoutMs: number, loss: (kind: Kind) => Loss | undefined) {
    this.#broker = broker;
    const request = (subject: string, data: Uint8Array, headers?: MsgHdrs, patienceMs = timeoutMs): Promise<Answer> =>
      this.#request(subject, data, headers, patienceMs);
    this.requester = { isClosed: false, request, timeoutMs } as unknown as Requester;
    this.#loss = loss;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  readonly clock: Clock = {
    wall: () => this.#broker.time.now,
    monotonic: () => this.#broker.time.now,
    random: () => this.#broker.time.draw(1),
    sleep: (ms, signal) => sleepUntil((wake) => this.#broker.time.after(ms, () => this.#live(wake, true)), signal),
  };

  readonly connection = {
    isClosed: () => false,
    status: () => this.#status(),
    subscribe: (_subject: string, options: { callback: (error: null, message: Msg) => void }) => {
      this.#callback = (message) => options.callback(null, message);
      return { unsubscribe: () => (this.#callback = () => {}) };
    },
    publish: (subject: string, data?: Uint8Array, options?: { reply: string }) => this.#publish(subject, data, options),
  } as unknown as NatsConnection;

  /** @param isNoticed whether the server sees its connection end */
  die(isNoticed: boolean): void {
    this.#isDead = true;
    if (isNoticed) this.#isHeardOf = false;
    else this.#broker.time.after(120_000, () => (this.#isHeardOf = false));
  }

  freeze(ms: number): void {
    if (this.#isFrozen) return;
    this.#isFrozen = true;
    this.#broker.time.after(ms, () => {
      // Timers may come before what was heard meanwhile.
      if (this.#broker.time.draw(2) < 1)
        this.#backlog.sort((one, other) => Number(other.isTimer) - Number(one.isTimer));
      this.#thaw();
    });
  }

  /** What it sends takes so much longer for a while. */
  slow(ms: number): void {
    this.#slowUntil = Math.max(this.#slowUntil, this.#broker.time.now + ms);
  }

  async disconnect(ms: number): Promise<void> {
    if (!this.#isUp) return;
    const { time } = this.#broker;
    this.#isUp = false;
    this.#isHeardOf = false;
    this.#inward++;
    // What has left may arrive all the same.
    if (time.draw(2) < 1) this.#outward++;
    this.#live(() => this.#tell('disconnect'));
    await time.sleep(ms);
    this.#isUp = true;
    this.#isHeardOf = !this.#isDead;
    this.#live(() => this.#tell('reconnect'));
  }

  #thaw(): void {
    const next = this.#backlog.shift();
    this.#isFrozen = next !== undefined;
    if (next === undefined) return;
    if (!this.#isDead) next.run();
    this.#broker.time.after(0, () => this.#thaw());
  }

  /** Does something in the process, once it can. */
  #live(run: () => void, isTimer = false): void {
    if (this.#isDead) return;
    if (this.#isFrozen) this.#backlog.push({ isTimer, run });
    else run();
  }

  #tell(type: string): void {
    for (const settle of this.#pending) settle({ kind: 'lost', why: 'the connection to NATS broke' });
    for (const hear of this.#statuses.splice(0)) hear(type);
  }

  async *#status(): AsyncGenerator<{ type: string }> {
    for (;;) yield { type: await new Promise<string>((resolve) => this.#statuses.push(resolve)) };
  }

  #publish(subject: string, data: Uint8Array = new Uint8Array(), { reply = '' } = {}): void {
    const { consumer } = this.#broker;
    const isPull = subject.includes('CONSUMER.MSG.NEXT');
    const kind = isPull ? 'pull' : 'ack';
    const client = {
      listens: () => this.#isHeardOf,
      hear: (message: Msg) => this.#delivered(message),
    };
    if (!this.#isUp || this.#loss(kind) !== undefined) return;
    this.#send(kind, () => {
      if (this.#broker.isDown) {
        if (isPull) client.hear(messageOf({ subject: reply, status: '503' }));
      } else if (isPull) consumer.pull(client, reply, JSON.parse(new TextDecoder().decode(data)) as never);
      else consumer.ack(Number(subject.split('.').at(-4)));
    });
  }

  #delivered(message: Msg): void {
    const isMessage = message.reply !== '';
    if (!isMessage || this.#loss('delivery') === undefined) this.#hear(() => this.#callback(message));
  }

  #request(subject: string, data: Uint8Array, headers: MsgHdrs | undefined, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve) => {
      const settle = (answer: Answer): void => {
        cancel();
        this.#pending.delete(settle);
        resolve(answer);
      };
      const tooLate = (): void => settle({ kind: 'lost', why: 'no answer in time' });
      const cancel = this.#broker.time.after(timeoutMs, () => this.#live(tooLate, true));
      this.#pending.add(settle);
      const kind = kindOf(subject);
      const loss = this.#loss(kind);
      if (!this.#isUp || loss === 'before') return;
      const lines = linesOf(headers);
      this.#send(kind, () => {
        void this.#ask(subject, data, lines, (answer) => {
          if (loss === undefined) this.#hear(() => settle(answer));
        });
      });
    });
  }

  async #ask(subject: string, data: Uint8Array, lines: Lines, hear: (answer: Answer) => void): Promise<void> {
    const answer = await this.#broker.request(subject, data, lines);
    if (answer !== undefined) hear(answer);
  }

  #send(kind: Kind, arrive: () => void): void {
    if (this.#isDead) return;
    const { time } = this.#broker;
    const at = Math.max(this.#sentAt.get(kind) ?? 0, this.#slowUntil, time.now + time.draw(WAY_MS));
    this.#sentAt.set(kind, at);
    const connection = this.#outward;
    time.after(at - time.now, () => {
      if (connection === this.#outward) arrive();
    });
  }

  #hear(run: () => void): void {
    const { time } = this.#broker;
    this.#heardAt = Math.max(this.#heardAt, time.now + time.draw(WAY_MS));
    const connection = this.#inward;
    time.after(this.#heardAt - time.now, () => {
      if (connection === this.#inward) this.#live(run);
    });
  }
}

const KINDS: readonly (readonly [prefix: string, kind: Kind])[] = [
  ['ent.', 'commit'],
  ['dead.', 'letter'],
  ['queue.refused.', 'refusal'],
  ['queue.', 'decision'],
  ['$JS.API.STREAM.MSG.DELETE.', 'delete'],
  ['$JS.API.CONSUMER.UNPIN.', 'unpin'],
];

function kindOf(subject: string): Kind {
  return KINDS.find(([prefix]) => subject.startsWith(prefix))?.[1] ?? 'read';
}
