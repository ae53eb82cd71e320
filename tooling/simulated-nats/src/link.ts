import type { Wire } from './message.ts';
import type { SimulatedProcess } from './process.ts';
import type { Random } from './random.ts';
import type { SimulatedTime } from './time.ts';
import { tokensOf } from './subjects.ts';

/** What a server node has of one client. */
export interface Session {
  subscribe(sid: number, subject: string, queue: string | undefined): void;
  unsubscribe(sid: number, max: number | undefined): void;
  publish(message: Wire): void;
  close(): void;
}

/** What a session delivers to. */
export interface SessionClient {
  readonly name: string;
  deliver(sid: number, message: Wire): void;
  /** The node is gone. */
  gone(): void;
}

export interface ServerNode {
  readonly name: string;
  readonly isUp: boolean;
  open(client: SessionClient): Session;
}

/** What becomes of one message on its way. */
export type Disturbance = { kind: 'lose' } | { kind: 'double' } | { kind: 'delay'; ms: number };

/** Decides for each message that a client publishes what becomes of it, and of the answer to it. */
export type Disturb = (message: Wire) => { request?: Disturbance; answer?: Disturbance } | undefined;

/** The same for each message that is delivered to it. */
export type Overhear = (message: Wire) => Disturbance | undefined;

export interface LinkOptions {
  process: SimulatedProcess;
  time: SimulatedTime;
  random: Random;
  /** Each way, a message takes so long, in milliseconds. */
  wayMs: readonly [least: number, most: number];
  onMessage: (sid: number, message: Wire) => void;
  onPong: () => void;
  /** The connection is broken, and this side has noticed. */
  onBroken: () => void;
}

type Command = (session: Session) => void;
type Arrival = { at: number; sid: number; message: Wire | undefined };

/**
 * One TCP connection between a process and a server node. Each way, what arrives arrives in order. A delay holds up the messages
 * to one destination only, since those to others can take another route behind the node.
 */
export class Link implements SessionClient {
  readonly name: string;
  readonly #options: LinkOptions;
  readonly #session: Session;
  readonly #lanes = new Map<string, number>();
  readonly #answers = new Map<string, Disturbance>();
  readonly #arrivals: Arrival[] = [];
  #sentAt = 0;
  #heardAt = 0;
  #extraMs = 0;
  #isReading = false;
  #isOpen = true;
  /** What was sent still gets to the server. */
  #reachesServer = true;
  disturb: Disturb = () => undefined;
  overhear: Overhear = () => undefined;

  constructor(node: ServerNode, options: LinkOptions) {
    this.name = options.process.name;
    this.#options = options;
    this.#session = node.open(this);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** From now on everything takes so much longer, each way. */
  slow(extraMs: number): void {
    this.#extraMs = extraMs;
  }

  subscribe(sid: number, subject: string, queue: string | undefined): void {
    this.#send((session) => session.subscribe(sid, subject, queue));
  }

  unsubscribe(sid: number, max: number | undefined): void {
    this.#send((session) => session.unsubscribe(sid, max));
  }

  ping(): void {
    this.#send(() => this.#arrive(0, undefined));
  }

  publish(message: Wire): void {
    const { request, answer } = this.disturb(message) ?? {};
    if (answer !== undefined && message.reply !== '') this.#answers.set(message.reply, answer);
    if (request?.kind === 'lose') return;
    const lane = laneOf(message.subject);
    this.#send((session) => {
      this.#route(lane, request?.kind === 'delay' ? request.ms : 0, () => session.publish(message));
      if (request?.kind === 'double') this.#route(lane, 1, () => session.publish(message));
    });
  }

  deliver(sid: number, message: Wire): void {
    const disturbance = this.#answers.get(message.subject) ?? this.overhear(message);
    if (disturbance === undefined) return this.#arrive(sid, message);
    this.#answers.delete(message.subject);
    if (disturbance.kind === 'lose') return;
    if (disturbance.kind === 'delay') {
      this.#options.time.after(disturbance.ms, () => this.#arrive(sid, message));
      return;
    }
    this.#arrive(sid, message);
    this.#arrive(sid, message);
  }

  gone(): void {
    this.break({ loses: true });
  }

  /** This side closes, after all that it has sent. */
  close(): void {
    this.#isOpen = false;
    this.#send((session) => session.close(), true);
  }

  /**
   * The connection breaks.
   * @param loses whether what is on its way to the server is lost
   * @param unnoticedMs how long the server takes the client to be there
   */
  break({ loses = false, unnoticedMs = 0 }: { loses?: boolean; unnoticedMs?: number } = {}): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (loses) this.#reachesServer = false;
    const { process, time } = this.#options;
    time.at(Math.max(loses ? 0 : this.#sentAt, time.now + unnoticedMs), () => this.#session.close());
    process.enter(this.#options.onBroken);
  }

  #send(command: Command, isLast = false): void {
    if (!this.#isOpen && !isLast) return;
    const { random, time, wayMs } = this.#options;
    this.#sentAt = Math.max(this.#sentAt, time.now + random.between(...wayMs) + this.#extraMs);
    time.at(this.#sentAt, () => {
      if (this.#reachesServer) command(this.#session);
    });
  }

  /** From the node to where the message is handled. */
  #route(lane: string, delayMs: number, arrive: () => void): void {
    const { time } = this.#options;
    const freeAt = this.#lanes.get(lane) ?? 0;
    if (delayMs === 0 && freeAt <= time.now) return arrive();
    const at = Math.max(freeAt, time.now + delayMs);
    this.#lanes.set(lane, at);
    time.at(at, arrive);
  }

  #arrive(sid: number, message: Wire | undefined): void {
    if (!this.#isOpen) return;
    const { random, time, wayMs } = this.#options;
    this.#heardAt = Math.max(this.#heardAt, time.now + random.between(...wayMs) + this.#extraMs);
    this.#arrivals.push({ at: this.#heardAt, sid, message });
    this.#readAt(this.#heardAt);
  }

  #readAt(at: number): void {
    if (this.#isReading) return;
    this.#isReading = true;
    const { process, time } = this.#options;
    time.at(at, () => process.enter(() => this.#read()));
  }

  /** Hands on, in one go, what has arrived: as the client does with what one read of its socket gives. */
  #read(): void {
    this.#isReading = false;
    const { onMessage, onPong, time } = this.#options;
    for (let next = this.#arrivals[0]; this.#isOpen && next !== undefined; next = this.#arrivals[0]) {
      if (next.at > time.now) return this.#readAt(next.at);
      this.#arrivals.shift();
      if (next.message === undefined) onPong();
      else onMessage(next.sid, next.message);
    }
  }
}

/** Messages of one lane keep their order. */
function laneOf(subject: string): string {
  if (subject.startsWith('$JS.')) return subject.startsWith('$JS.ACK.') ? subject.split('.', 4).join('.') : subject;
  const [first = '', second = ''] = tokensOf(subject);
  return `${first}.${second}`;
}
