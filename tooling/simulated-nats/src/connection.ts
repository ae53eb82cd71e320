import {
  createInbox,
  deferred,
  errors,
  Features,
  headers as newHeaders,
  parseSemVer,
  QueuedIteratorImpl,
  type Deferred,
} from '@nats-io/nats-core/internal';
import type {
  ConnectionOptions,
  Msg,
  NatsConnection,
  Payload,
  PublishOptions,
  RequestManyOptions,
  RequestOptions,
  ServerInfo,
  Status,
  Stats,
  Subscription,
  SubscriptionOptions,
} from '@nats-io/nats-core';
import { HeaderBlock } from './headers.ts';
import { Link, type Disturb, type Overhear, type ServerNode } from './link.ts';
import { EMPTY, SimulatedMsg, textBytes, type Wire } from './message.ts';
import type { SimulatedProcess } from './process.ts';
import { SimulatedSubscription, type SubscriptionHome } from './subscription.ts';

export interface SimulatedConnectionOptions {
  process: SimulatedProcess;
  /** Where to connect: the first that is up, beginning with the one that is named first. */
  nodes: readonly ServerNode[];
  wayMs: readonly [least: number, most: number];
  /** What the server says of itself. */
  version: string;
  maxPayload: number;
  inboxPrefix: string;
  name: string;
}

const REDIAL_MS = 250;
const REDIAL_JITTER_MS = 100;
const NO_SPACE = /[ \n\r\t]/;

interface PendingRequest {
  subject: string;
  settle: (answer: Msg | Error) => void;
}

/** A connection of the NATS client, to a server in memory. It reconnects for ever, as MeshForge's connections do. */
export class SimulatedConnection implements NatsConnection, SubscriptionHome {
  readonly options: ConnectionOptions;
  readonly features: Features;
  readonly #options: SimulatedConnectionOptions;
  readonly #subscriptions = new Map<number, SimulatedSubscription>();
  readonly #closed: Deferred<void | Error> = deferred();
  readonly #requests = new Map<string, PendingRequest>();
  readonly #statuses: QueuedIteratorImpl<Status>[] = [];
  #closeListeners: { connectionClosedCallback: (error?: Error) => void }[] = [];
  #pongs: Deferred<void>[] = [];
  #link: Link | undefined;
  #node: ServerNode | undefined;
  #mux = '';
  #sid = 0;
  #nextRequest = 0;
  #isClosed = false;
  #isDraining = false;
  #noMorePublishing = false;
  #disturb: Disturb = () => undefined;
  #overhear: Overhear = () => undefined;
  readonly #stats: Stats = { inBytes: 0, inMsgs: 0, outBytes: 0, outMsgs: 0 };

  private constructor(options: SimulatedConnectionOptions) {
    this.#options = options;
    this.options = { inboxPrefix: options.inboxPrefix, name: options.name };
    this.features = new Features(parseSemVer(options.version));
    options.process.onDeath((unnoticedMs) => this.#link?.break({ unnoticedMs }));
  }

  /** @throws ConnectionError when no node is up */
  static async connect(options: SimulatedConnectionOptions): Promise<SimulatedConnection> {
    const connection = new SimulatedConnection(options);
    await connection.#pause(2 * options.wayMs[1]);
    if (!connection.#dial()) throw new errors.ConnectionError('connection refused');
    return connection;
  }

  get info(): ServerInfo {
    const { maxPayload, version } = this.#options;
    const host = this.#node?.name ?? '';
    const of = { client_id: 1, go: 'go', proto: 1, server_id: host, server_name: host } as const;
    return { ...of, headers: true, host, jetstream: true, max_payload: maxPayload, port: 4222, version };
  }

  /** The connection as a wire, for faults. */
  get link(): Link | undefined {
    return this.#link;
  }

  get isConnected(): boolean {
    return this.#link?.isOpen === true;
  }

  /** Decides what becomes of each message, on this and on all later links. */
  disturb(disturb: Disturb, overhear: Overhear = () => undefined): void {
    this.#disturb = disturb;
    this.#overhear = overhear;
    if (this.#link !== undefined) Object.assign(this.#link, { disturb, overhear });
  }

  closed(): Promise<void | Error> {
    return this.#closed;
  }

  close(): Promise<void> {
    return this.#end();
  }

  publish(subject: string, data: Payload = EMPTY, options: PublishOptions = {}): void {
    this.#check(subject, false);
    if (options.reply !== undefined && options.reply !== '') this.#check(options.reply, false);
    const body = typeof data === 'string' ? textBytes(data) : data;
    const headers = options.headers === undefined ? undefined : blockOf(options.headers as unknown as Encodable);
    const size = body.length + (headers?.size ?? 0);
    if (size > this.#options.maxPayload) {
      throw errors.InvalidArgumentError.format('payload', 'max_payload size exceeded');
    }
    this.#stats.outMsgs++;
    this.#stats.outBytes += size;
    // What is published without a connection is dropped when it comes back.
    this.#link?.publish({ subject, reply: options.reply ?? '', headers, data: body });
  }

  publishMessage(message: Msg): void {
    this.publish(message.subject, message.data, optionsOf(message));
  }

  respondMessage(message: Msg): boolean {
    if (message.reply === undefined || message.reply === '') return false;
    this.publish(message.reply, message.data, optionsOf(message));
    return true;
  }

  subscribe(subject: string, options: SubscriptionOptions = {}): Subscription {
    this.#check(subject, true);
    const subscription = new SimulatedSubscription(this, subject, options);
    if (options.timeout !== undefined && options.timeout > 0) this.#limit(subscription, options.timeout);
    subscription.sid = ++this.#sid;
    this.#subscriptions.set(subscription.sid, subscription);
    this.#link?.subscribe(subscription.sid, subject, subscription.queue);
    if (subscription.max !== undefined) this.unsubscribe(subscription, subscription.max);
    return subscription;
  }

  /** The JetStream module moves ordered consumers to a new inbox. */
  _resub(subscription: SimulatedSubscription, subject: string, max?: number): void {
    this.#check(subject, true);
    this.#subscriptions.delete(subscription.sid);
    this.#link?.unsubscribe(subscription.sid, undefined);
    subscription.subject = subject;
    subscription.max = max === undefined ? undefined : max + subscription.received;
    subscription.sid = ++this.#sid;
    this.#subscriptions.set(subscription.sid, subscription);
    this.#link?.subscribe(subscription.sid, subject, subscription.queue);
  }

  unsubscribe(subscription: SimulatedSubscription, max?: number): void {
    this.#link?.unsubscribe(subscription.sid, max);
    if (max !== undefined) subscription.max = max;
    if (subscription.max === undefined || subscription.received >= subscription.max) this.#cancel(subscription);
  }

  drain(subscription?: SimulatedSubscription): Promise<void> {
    return subscription === undefined ? this.#drainAll() : this.#drainOne(subscription);
  }

  request(subject: string, data?: Payload, options: RequestOptions = { timeout: 1_000 }): Promise<Msg> {
    try {
      this.#check(subject, true);
    } catch (error) {
      return Promise.reject(error);
    }
    const { headers, timeout } = options;
    this.#listenForAnswers();
    return new Promise((resolve, reject) => {
      const token = (this.#nextRequest++).toString(36);
      const settle = (answer: Msg | Error): void => {
        cancel();
        this.#requests.delete(token);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      const cancel = this.#options.process.after(timeout, () => settle(new errors.TimeoutError()));
      this.#requests.set(token, { subject, settle });
      try {
        this.publish(subject, data, { reply: this.#mux + token, ...(headers === undefined ? {} : { headers }) });
      } catch (error) {
        settle(error as Error);
      }
    });
  }

  requestMany(subject: string, data?: Payload, options: Partial<RequestManyOptions> = {}): Promise<AsyncIterable<Msg>> {
    const { maxMessages = -1, maxWait = 1_000, strategy = 'timer' } = options;
    const answers = new QueuedIteratorImpl<Msg>();
    let count = 0;
    const end = (error?: Error): void => {
      cancel();
      subscription.unsubscribe();
      answers.push(() => {
        answers.stop(error);
      });
    };
    const subscription = this.subscribe(createInbox(this.#options.inboxPrefix), {
      callback: (_error, message) => {
        if (isNoResponders(message)) return end(new errors.NoRespondersError(subject));
        answers.push(message);
        count++;
        const isLast = strategy === 'sentinel' && message.data.length === 0;
        if (isLast || (strategy === 'count' && count === maxMessages)) end();
      },
    });
    const cancel = this.#options.process.after(maxWait, () => end());
    this.publish(subject, data, { reply: subscription.getSubject() });
    return Promise.resolve(answers);
  }

  flush(): Promise<void> {
    if (this.#isClosed) return Promise.reject(new errors.ClosedConnectionError());
    const pong: Deferred<void> = deferred();
    this.#pongs.push(pong);
    this.#link?.ping();
    return pong;
  }

  isClosed(): boolean {
    return this.#isClosed;
  }

  isDraining(): boolean {
    return this.#isDraining;
  }

  getServer(): string {
    return this.#node === undefined ? '' : `${this.#node.name}:4222`;
  }

  getServers(): ReturnType<NatsConnection['getServers']> {
    return [];
  }

  setServers(): void {
    // All nodes are known from the start.
  }

  status(): AsyncIterable<Status> {
    const statuses = new QueuedIteratorImpl<Status>();
    void statuses.iterClosed.then(() => this.#statuses.splice(this.#statuses.indexOf(statuses), 1));
    this.#statuses.push(statuses);
    return statuses;
  }

  stats(): Stats {
    return { ...this.#stats };
  }

  async rtt(): Promise<number> {
    const began = this.#options.process.time.now;
    await this.flush();
    return this.#options.process.time.now - began;
  }

  reconnect(): Promise<void> {
    this.#link?.break();
    return Promise.resolve();
  }

  addCloseListener(listener: { connectionClosedCallback: (error?: Error) => void }): void {
    this.#closeListeners.push(listener);
  }

  removeCloseListener(listener: { connectionClosedCallback: (error?: Error) => void }): void {
    this.#closeListeners = this.#closeListeners.filter((each) => each !== listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    await (this.#isDraining ? this.#closed : this.drain());
  }

  #check(subject: string, isForAnswers: boolean): void {
    if (this.#isClosed) throw new errors.ClosedConnectionError();
    if (isForAnswers ? this.#isDraining : this.#noMorePublishing) throw new errors.DrainingConnectionError();
    if (subject === '' || NO_SPACE.test(subject)) throw new errors.InvalidSubjectError(subject);
  }

  #dial(): boolean {
    const { nodes, process, wayMs } = this.#options;
    const node = nodes.find(({ isUp }) => isUp);
    if (node === undefined) return false;
    this.#node = node;
    const link = new Link(node, {
      process,
      time: process.time,
      random: process.random,
      wayMs,
      onMessage: (sid, message) => this.#deliver(sid, message),
      onPong: () => this.#pongs.shift()?.resolve(),
      onBroken: () => this.#broken(link),
    });
    link.disturb = this.#disturb;
    link.overhear = this.#overhear;
    this.#link = link;
    for (const { sid, subject, queue } of this.#subscriptions.values()) link.subscribe(sid, subject, queue);
    return true;
  }

  #broken(link: Link): void {
    if (this.#link !== link || this.#isClosed) return;
    this.#link = undefined;
    for (const pong of this.#pongs.splice(0)) {
      pong.catch(() => {});
      pong.reject(new errors.RequestError('connection disconnected'));
    }
    this.#tell({ type: 'disconnect', server: this.getServer() });
    this.#redial();
  }

  #redial(): void {
    const { process } = this.#options;
    process.after(REDIAL_MS + REDIAL_JITTER_MS * process.random.next(), () => {
      if (this.#isClosed) return;
      for (const pong of this.#pongs.splice(0)) {
        pong.catch(() => {});
        pong.reject(new errors.RequestError('connection disconnected'));
      }
      if (this.#dial()) this.#tell({ type: 'reconnect', server: this.getServer() });
      else this.#redial();
    });
  }

  #tell(status: Status): void {
    for (const each of this.#statuses) each.push(status);
  }

  #deliver(sid: number, message: Wire): void {
    const subscription = this.#subscriptions.get(sid);
    this.#stats.inMsgs++;
    if (subscription === undefined) return;
    subscription.received++;
    subscription.callback(null, new SimulatedMsg(message, sid, this) as Msg);
    if (subscription.max !== undefined && subscription.received >= subscription.max) subscription.unsubscribe();
  }

  #listenForAnswers(): void {
    if (this.#mux !== '') return;
    this.#mux = `${createInbox(this.#options.inboxPrefix)}.`;
    this.subscribe(`${this.#mux}*`, {
      callback: (_error, message) => {
        const pending = this.#requests.get(message.subject.slice(this.#mux.length));
        if (pending === undefined) return;
        const cause = isNoResponders(message) ? new errors.NoRespondersError(pending.subject) : undefined;
        pending.settle(cause === undefined ? message : new errors.RequestError(cause.message, { cause }));
      },
    });
  }

  #limit(subscription: SimulatedSubscription, timeoutMs: number): void {
    subscription.cancelTimeout = this.#options.process.after(timeoutMs, () => {
      const error = new errors.TimeoutError();
      subscription.stop(error);
      if (subscription.noIterator) subscription.callback(error, {} as Msg);
    });
  }

  #cancel(subscription: SimulatedSubscription): void {
    subscription.close();
    this.#subscriptions.delete(subscription.sid);
  }

  #drainOne(subscription: SimulatedSubscription): Promise<void> {
    if (this.#isClosed) return Promise.reject(new errors.ClosedConnectionError());
    if (subscription.isClosed()) {
      return Promise.reject(new errors.InvalidOperationError('subscription is already closed'));
    }
    subscription.draining = true;
    this.#link?.unsubscribe(subscription.sid, undefined);
    const end = (): void => this.#cancel(subscription);
    return (subscription.drained ??= this.flush().then(end, end));
  }

  async #drainAll(): Promise<void> {
    if (this.#isClosed) throw new errors.ClosedConnectionError();
    if (this.#isDraining) throw new errors.DrainingConnectionError();
    this.#isDraining = true;
    await Promise.allSettled([...this.#subscriptions.values()].map((each) => this.#drainOne(each)));
    this.#noMorePublishing = true;
    await this.flush().catch(() => {});
    await this.#end();
  }

  async #end(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const error = new errors.RequestError('connection closed');
    for (const { settle } of this.#requests.values()) settle(error);
    for (const pong of this.#pongs.splice(0)) pong.resolve();
    for (const subscription of this.#subscriptions.values()) subscription.close();
    this.#subscriptions.clear();
    this.#link?.close();
    this.#link = undefined;
    this.#tell({ type: 'close' });
    for (const each of this.#statuses.slice()) each.stop();
    this.#closed.resolve();
    for (const listener of this.#closeListeners) listener.connectionClosedCallback();
    await Promise.resolve();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.process.after(ms, resolve);
    });
  }
}

interface Encodable {
  encode(): Uint8Array;
}

function blockOf(headers: Encodable): HeaderBlock | undefined {
  const bytes = headers.encode();
  return bytes.length === 0 ? undefined : HeaderBlock.fromBytes(bytes);
}

function optionsOf({ headers, reply }: Msg): PublishOptions {
  const options: PublishOptions = { headers: headers ?? newHeaders() };
  return reply === undefined ? options : { ...options, reply };
}

function isNoResponders({ data, headers }: Msg): boolean {
  return data.length === 0 && headers?.code === 503;
}
