import { HeaderBlock } from './headers.ts';
import { EMPTY, jsonBytes, type Wire } from './message.ts';
import { Interest, type Subscriber } from './interest.ts';
import { Api } from './jetstream/api.ts';
import { JetStream } from './jetstream/jetstream.ts';
import { directGet, earlierView, type View } from './jetstream/reads.ts';
import type { StoredMessage } from './jetstream/store.ts';
import type { Stream } from './jetstream/stream.ts';
import type { ServerNode, Session, SessionClient } from './link.ts';
import { SimulatedConnection } from './connection.ts';
import { SimulatedProcess } from './process.ts';
import { Random } from './random.ts';
import { SimulatedTime } from './time.ts';
import { tokensOf } from './subjects.ts';

export interface SimulatedNatsOptions {
  /** Everything that is left to chance comes from it. */
  seed: number;
  /** When the simulation begins, milliseconds since the epoch. */
  now?: number;
  /** 1, or 3 for a cluster. Default 1. */
  nodes?: number;
  /** Each way between a client and its node, in milliseconds. */
  wayMs?: readonly [least: number, most: number];
  /** How long a majority takes to store a change, in milliseconds. */
  commitMs?: readonly [least: number, most: number];
  /** How far followers lag behind, in milliseconds. */
  lagMs?: readonly [least: number, most: number];
  version?: string;
  maxPayload?: number;
}

const API = '$JS.API.';
const ACK = '$JS.ACK.';
const BEGINNING = Date.UTC(2026, 0, 1);

/** Servers of NATS in memory: core NATS and JetStream, alone or as a cluster, in simulated time. */
export class SimulatedNats {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly jetstream: JetStream;
  readonly nodes: readonly SimulatedNode[];
  readonly #options: Required<SimulatedNatsOptions>;
  readonly #interest = new Interest();
  readonly #api: Api;
  readonly #leaders = new Map<string, number>();
  /** Where a deposed leader still answers: until when, and as of what. */
  readonly #deposed = new Map<string, { until: number; version: number }>();
  /** Sees everything that is published. */
  onPublish: (message: Wire) => void = () => {};
  /** Sees everything that is stored. */
  onStored: (stream: Stream, message: StoredMessage) => void = () => {};

  constructor(options: SimulatedNatsOptions) {
    this.#options = {
      now: BEGINNING,
      nodes: 1,
      wayMs: [0.05, 0.5],
      commitMs: [0.3, 1.5],
      lagMs: [0, 3],
      version: '2.15.1',
      maxPayload: 1_048_576,
      ...options,
    };
    this.time = new SimulatedTime(this.#options.now);
    this.random = new Random(options.seed);
    this.nodes = Array.from({ length: this.#options.nodes }, (_, at) => new SimulatedNode(this, at));
    const { commitMs, lagMs } = this.#options;
    this.jetstream = new JetStream({
      time: this.time,
      random: this.random.fork(),
      commitMs,
      lagMs,
      send: (message, to) => this.send(message, to),
      hasInterest: (subject) => this.#interest.has(subject),
      onStored: (stream, message) => this.onStored(stream, message),
    });
    this.#api = new Api(this.jetstream, {
      describe: (stream) => this.#describe(stream),
      leaderView: (stream) => this.#leaderView(stream),
    });
  }

  /** A process on a machine of its own. */
  process(name: string): SimulatedProcess {
    return new SimulatedProcess(name, this.time, this.random.fork());
  }

  /** A connection of a process; to one of the nodes, and after a break to any that is up. */
  connect(
    process: SimulatedProcess,
    { inboxPrefix = '_INBOX', name = process.name }: { inboxPrefix?: string; name?: string } = {},
  ): Promise<SimulatedConnection> {
    const first = process.random.below(this.nodes.length);
    const nodes = [...this.nodes.slice(first), ...this.nodes.slice(0, first)];
    const { maxPayload, version, wayMs } = this.#options;
    return SimulatedConnection.connect({ process, nodes, wayMs, version, maxPayload, inboxPrefix, name });
  }

  /** Publishes a message of a client. */
  publish(message: Wire, node: SimulatedNode, from: SessionClient, noResponders: (message: Wire) => void): void {
    this.onPublish(message);
    const { reply, subject } = message;
    let isHeard = this.#handle(message, node);
    isHeard = this.#route(message, subject) || isHeard;
    if (isHeard || reply === '') return;
    const headers = HeaderBlock.of([['Nats-Subject', subject]], '503');
    noResponders({ subject: reply, reply: '', headers, data: EMPTY });
  }

  /** Publishes a message of the servers. */
  send(message: Wire, to = message.subject): void {
    this.#route(message, to);
    if (!to.startsWith('_INBOX')) this.jetstream.take(message);
  }

  add(subscriber: Subscriber): void {
    this.#interest.add(subscriber);
  }

  remove(subscriber: Subscriber): void {
    this.#interest.remove(subscriber);
  }

  /** The node that leads a stream. */
  leaderOf(stream: Stream): number {
    let leader = this.#leaders.get(stream.name);
    if (leader === undefined) {
      leader = this.random.below(this.nodes.length);
      this.#leaders.set(stream.name, leader);
    }
    return leader;
  }

  /**
   * Another node leads the stream and its consumers.
   * @param gapMs how long nobody does
   * @param deposedMs how long the former leader still answers reads as if it led
   */
  changeLeader(stream: Stream, gapMs: number, deposedMs = 0): void {
    const { length } = this.nodes;
    if (!stream.isReplicated || length === 1) return;
    const until = this.time.now + gapMs + deposedMs;
    if (deposedMs > 0) this.#deposed.set(stream.name, { until, version: stream.store.version });
    this.#leaders.set(stream.name, (this.leaderOf(stream) + 1 + this.random.below(length - 1)) % length);
    stream.changeLeader(gapMs);
    for (const consumer of stream.consumers.values()) consumer.changeLeader(gapMs);
  }

  /** A node stops, and comes back after so long. */
  stopNode(node: SimulatedNode, downMs: number): void {
    node.stop(downMs);
    for (const stream of this.jetstream.streams.values()) {
      if (stream.isReplicated) {
        if (this.leaderOf(stream) === node.at) this.changeLeader(stream, this.random.between(50, 1_500));
        continue;
      }
      if (this.leaderOf(stream) !== node.at) continue;
      stream.restart(downMs);
      for (const consumer of stream.consumers.values()) consumer.changeLeader(downMs);
    }
  }

  /** @returns whether anybody takes it */
  #handle(message: Wire, node: SimulatedNode): boolean {
    const { data, reply, subject } = message;
    if (subject.startsWith(ACK)) return this.#acknowledge(message);
    if (!subject.startsWith(API)) return this.jetstream.take(message);
    const tokens = tokensOf(subject).slice(2);
    if (tokens[0] === 'DIRECT') return this.#directGet(message, tokens, node);
    if (tokens[0] === 'CONSUMER' && tokens[1] === 'MSG') {
      const consumer = this.jetstream.consumer(tokens[3] ?? '', tokens[4] ?? '');
      if (consumer?.isLed !== true) return false;
      if (reply !== '') consumer.pull(reply, data);
      return true;
    }
    const answer = (body: object): void => {
      if (reply !== '') this.send({ subject: reply, reply: '', headers: undefined, data: jsonBytes(body) });
    };
    return this.#api.call({ tokens, data, answer });
  }

  #acknowledge({ data, reply, subject }: Wire): boolean {
    const tokens = tokensOf(subject);
    const consumer = this.jetstream.consumer(tokens[2] ?? '', tokens[3] ?? '');
    if (consumer?.isLed !== true || consumer.settings.ack_policy === 'none') return false;
    consumer.acknowledge(tokens.slice(4), reply, data);
    return true;
  }

  #directGet({ data, reply, subject }: Wire, tokens: readonly string[], node: SimulatedNode): boolean {
    const stream = this.jetstream.streams.get(tokens[2] ?? '');
    if (stream === undefined || !stream.settings.allow_direct) return false;
    const isLeader = this.leaderOf(stream) === node.at || !stream.isReplicated;
    if (isLeader && !stream.isLed) return false;
    if (reply === '') return true;
    const { store } = stream;
    const version = isLeader ? store.version : stream.lag.versionOf(node.at);
    const view = version === store.version ? store : earlierView(store, version);
    const lastOf = tokensOf(subject).slice(5).join('.');
    for (const answer of directGet(view, stream.name, lastOf, reply, data)) this.send(answer);
    return true;
  }

  #leaderView(stream: Stream): View {
    const deposed = this.#deposed.get(stream.name);
    if (deposed === undefined || deposed.until < this.time.now || this.random.chance(0.5)) return stream.store;
    return earlierView(stream.store, deposed.version);
  }

  #describe(stream: Stream): object | undefined {
    if (this.nodes.length === 1) return undefined;
    const leader = this.leaderOf(stream);
    const replicas = stream.isReplicated
      ? this.nodes.filter(({ at }) => at !== leader).map(({ name }) => ({ name, current: true, active: 0 }))
      : undefined;
    return { name: 'simulated', leader: this.nodes[leader]?.name, ...(replicas === undefined ? {} : { replicas }) };
  }

  #route(message: Wire, to: string): boolean {
    const { all, groups } = this.#interest.in(to);
    for (const { deliver } of all) deliver(message);
    for (const members of groups) this.random.pick(members).deliver(message);
    return all.length > 0 || groups.length > 0;
  }
}

/** One server. */
export class SimulatedNode implements ServerNode {
  readonly at: number;
  readonly #nats: SimulatedNats;
  readonly #clients = new Set<SessionClient>();
  #downUntil = 0;

  constructor(nats: SimulatedNats, at: number) {
    this.#nats = nats;
    this.at = at;
  }

  get name(): string {
    return `n${this.at + 1}`;
  }

  get isUp(): boolean {
    return this.#nats.time.now >= this.#downUntil;
  }

  stop(downMs: number): void {
    this.#downUntil = this.#nats.time.now + downMs;
    for (const client of Array.from(this.#clients)) client.gone();
  }

  open(client: SessionClient): Session {
    const subscribers = new Map<number, { subscriber: Subscriber; received: number; max: number | undefined }>();
    const nats = this.#nats;
    let isOpen = true;
    this.#clients.add(client);
    const remove = (sid: number): void => {
      const found = subscribers.get(sid);
      if (found === undefined) return;
      nats.remove(found.subscriber);
      subscribers.delete(sid);
    };
    return {
      subscribe: (sid, subject, queue) => {
        if (!isOpen) return;
        const deliver = (message: Wire): void => {
          const found = subscribers.get(sid);
          if (found === undefined) return;
          client.deliver(sid, message);
          if (++found.received === found.max) remove(sid);
        };
        const subscriber = { subject, queue, deliver };
        subscribers.set(sid, { subscriber, received: 0, max: undefined });
        nats.add(subscriber);
      },
      unsubscribe: (sid, max) => {
        const found = subscribers.get(sid);
        if (found === undefined) return;
        if (max === undefined || found.received >= max) remove(sid);
        else found.max = max;
      },
      publish: (message) => {
        if (!isOpen) return;
        nats.publish(message, this, client, (status) => {
          for (const [sid, { subscriber }] of subscribers) {
            if (isForReply(status.subject, subscriber.subject)) client.deliver(sid, status);
          }
        });
      },
      close: () => {
        isOpen = false;
        this.#clients.delete(client);
        for (const sid of Array.from(subscribers.keys())) remove(sid);
      },
    };
  }
}

function isForReply(reply: string, filter: string): boolean {
  if (filter === reply) return true;
  return filter.endsWith('*') && reply.startsWith(filter.slice(0, -1)) && !reply.slice(filter.length - 1).includes('.');
}
