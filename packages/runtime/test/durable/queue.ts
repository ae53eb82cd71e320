/** A queue on a real server, and workers of it that note what they did, as an entity's log would. */
import type { NatsServer } from '@meshforge/nats-server';
import { createInbox, type NatsConnection } from '@nats-io/nats-core';
import { systemClock } from '../../src/clock.ts';
import { PIN_GROUP, PINNED_CONSUMER } from '../../src/durable/consumer.ts';
import type { QueuedMessage } from '../../src/durable/delivery.ts';
import { DEFAULT_RETRY } from '../../src/durable/retry-policy.ts';
import { Worker } from '../../src/durable/worker.ts';
import type { Verdict, WorkerOptions } from '../../src/durable/worker-options.ts';
import { ensureConsumer } from '../../src/nats/consumers.ts';
import { Requester } from '../../src/nats/requester.ts';
import { deleteMessage, nextMessage } from '../../src/nats/stored-messages.ts';
import { addStream } from '../support/add-stream.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { openConnection } from '../support/wire.ts';

const CONSUMER = 'executor';
let queues = 0;

export class Queue {
  readonly stream = `Q${queues++}`;
  readonly connection: NatsConnection;
  /** Sequences of the messages of each entity, in the order in which they were stored. */
  readonly stored = new Map<string, number[]>();
  /** Sequences of those that are done, in the order in which that was. */
  readonly done = new Map<string, number[]>();
  readonly dead: QueuedMessage[] = [];
  readonly faults: unknown[] = [];
  /** What was handled before its time. */
  readonly disorder: string[] = [];
  readonly workers: Worker[] = [];
  readonly #server: NatsServer;

  private constructor(server: NatsServer, connection: NatsConnection) {
    this.#server = server;
    this.connection = connection;
  }

  static async open(server: NatsServer): Promise<Queue> {
    const queue = new Queue(server, endWithTest(await openConnection(server.url)));
    await queue.create();
    return queue;
  }

  async create(): Promise<void> {
    const { connection, stream } = this;
    await addStream(connection, { name: stream, subjects: [`${stream}.*.*`], retention: 'workqueue' });
    await this.createConsumer();
  }

  async createConsumer(): Promise<void> {
    const backoff = [1_500_000_000, 5_000_000_000, 10_000_000_000];
    await ensureConsumer(this.connection, undefined, this.stream, {
      ...PINNED_CONSUMER,
      backoff,
      durable_name: CONSUMER,
      filter_subject: `${this.stream}.*.*`,
    });
  }

  async store(entity: string, count = 1, body = ''): Promise<void> {
    for (let i = 0; i < count; i++) {
      const ack = await this.connection.request(`${this.stream}.${entity}.do`, body);
      const { seq } = ack.json<{ seq: number }>();
      this.stored.set(entity, [...(this.stored.get(entity) ?? []), seq]);
    }
  }

  /** Whether everything is done, once each and in order. */
  get isDone(): boolean {
    for (const [entity, sequences] of this.stored) {
      if ((this.done.get(entity) ?? []).length < sequences.length) return false;
    }
    return true;
  }

  /** As an entity's log does: what is not next is decided before, or it is out of order. */
  note({ sequence, subject }: QueuedMessage): 'new' | 'before' {
    const entity = subject.split('.')[1] ?? '';
    const done = this.done.get(entity) ?? [];
    if (sequence <= (done.at(-1) ?? 0)) return 'before';
    const next = this.stored.get(entity)?.[done.length];
    if (next !== undefined && sequence !== next) this.disorder.push(`${entity}: ${sequence} instead of ${next}`);
    this.done.set(entity, [...done, sequence]);
    return 'new';
  }

  /** A worker on a connection of its own. */
  async work(options: Partial<WorkerOptions> = {}): Promise<{ worker: Worker; connection: NatsConnection }> {
    const connection = endWithTest(await openConnection(this.#server.url));
    const requester = new Requester(connection, '_INBOX', systemClock, 2_000);
    const { stream } = this;
    const worker = new Worker({
      name: stream,
      connection,
      requester,
      clock: systemClock,
      serverNow: () => Date.now(),
      inboxPrefix: '_INBOX',
      stream,
      consumer: CONSUMER,
      atOnce: 64,
      retry: { ...DEFAULT_RETRY, maxTries: 3, firstPauseMs: 100 },
      entityOf: ({ subject }) => subject.slice(0, subject.lastIndexOf('.')),
      order: {
        kind: 'stored',
        oldest: async (entity) => {
          const found = await nextMessage(requester, stream, `${entity}.*`, 1);
          return found && { ...found, storedAt: Date.parse(found.time) };
        },
        remove: ({ sequence }) => deleteMessage(requester, stream, sequence),
      },
      attempt: (message): Promise<Verdict> => {
        this.note(message);
        return Promise.resolve({ kind: 'done' });
      },
      bury: (message) => {
        this.note(message);
        this.dead.push(message);
        return Promise.resolve(undefined);
      },
      onRetry: () => {},
      onDead: () => {},
      onAbsent: () => {},
      onFault: (error) => this.faults.push(error),
      ...options,
    });
    worker.start();
    this.workers.push(worker);
    endWithTest(worker);
    return { worker, connection };
  }

  /** Has the server turn to another worker. */
  async unpin(): Promise<void> {
    const request = JSON.stringify({ group: PIN_GROUP });
    await this.connection.request(`$JS.API.CONSUMER.UNPIN.${this.stream}.${CONSUMER}`, request);
  }

  /** Takes messages as a worker that dies at once: they are delivered, and nobody has them. @returns how many */
  async lose(count: number, pin?: string): Promise<number> {
    const inbox = createInbox();
    const subscription = this.connection.subscribe(inbox);
    const pull = { batch: count, group: PIN_GROUP, expires: 300_000_000, ...(pin === undefined ? {} : { id: pin }) };
    this.connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${this.stream}.${CONSUMER}`, JSON.stringify(pull), {
      reply: inbox,
    });
    let lost = 0;
    for await (const message of subscription) {
      if (message.subject === inbox) break;
      if (++lost === count) break;
    }
    subscription.unsubscribe();
    return lost;
  }

  /** For a failure's message. */
  get state(): object {
    const { dead, disorder, faults } = this;
    const missing = [...this.stored].flatMap(([entity, all]) => all.slice(this.done.get(entity)?.length ?? 0));
    return {
      missing,
      disorder,
      faults: faults.map(String),
      dead: dead.length,
      workers: this.workers.map((worker) => worker.stats()),
    };
  }

  async consumer(): Promise<{
    num_pending: number;
    num_ack_pending: number;
    priority_groups?: { pinned_client_id?: string }[];
  }> {
    return (await this.connection.request(`$JS.API.CONSUMER.INFO.${this.stream}.${CONSUMER}`)).json();
  }

  async left(): Promise<number> {
    const info = await this.connection.request(`$JS.API.STREAM.INFO.${this.stream}`);
    return info.json<{ state: { messages: number } }>().state.messages;
  }
}
