import { entityEventFilter, entityStream, parseSubject } from '@meshforge/protocol';
import {
  AckPolicy,
  DeliverPolicy,
  jetstream,
  type ConsumerConfig,
  type ConsumerMessages,
  type JsMsg,
} from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import { ensureConsumer } from '../nats/consumers.ts';
import { isCountedExpiry } from '../nats/counted-expiry.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import { followConsumer } from '../nats/presence/follow-consumer.ts';
import type { Followed } from '../nats/presence/followed-asset.ts';
import type { Presence } from '../nats/presence/presence.ts';
import type { RequestPort } from '../nats/requester.ts';
import { deliverInSpan } from '../telemetry/delivery-span.ts';
import { changeEvent } from './event-of.ts';
import { oneByOne } from './one-by-one.ts';
import type { ChangeEvent, EventSubscription, SubscribeOptions } from './types.ts';

const DEFAULT_ACK_WAIT_MS = 30_000;
/** First pause before an event comes again that failed or is for others, in milliseconds; doubles up to 30 s. */
const RETRY_MS = 250;
const MAX_RETRY_MS = 30_000;
/** After a delivery that broke off, in milliseconds. */
const PAUSE_MS = 500;
/** Events the server sends ahead. */
const AHEAD = 64;
/** Events that are delivered and not acknowledged, of all processes; those that are for others count as well. */
const MAX_PENDING = 10_000;

type Handler<State> = (event: ChangeEvent<State>) => void | Promise<void>;

/** What a subscription has of its client. */
export interface SubscriptionPorts {
  connection: NatsConnection;
  clock: Clock;
  requester: RequestPort;
  presence: Presence;
  domain: string | undefined;
}

/**
 * Hands every commit of an agent to a handler, at least once, also those of the time when nobody listened: the
 * subscription is a consumer on the agent's own stream. An event is acknowledged when its handler is done; one whose
 * handler fails comes again later, behind younger ones.
 */
export async function subscribeDurably<State>(
  ports: SubscriptionPorts,
  agent: string,
  options: SubscribeOptions,
  handler: Handler<State>,
): Promise<EventSubscription> {
  const { connection, domain, presence } = ports;
  const stream = entityStream(agent);
  const { durable, events = ['*'], exactEvents = false, ackWaitMs = DEFAULT_ACK_WAIT_MS } = options;
  const settings = {
    durable_name: durable,
    ack_wait: nanos(ackWaitMs),
    max_ack_pending: MAX_PENDING,
    filter_subjects: events.map((event) => entityEventFilter(agent, event)),
  };
  const first = { ack_policy: AckPolicy.Explicit, ...deliveryStart(options.from) };
  try {
    await ensureConsumer(connection, domain, stream, settings, first, exactEvents ? 'exact' : 'add');
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    throw new MeshError({
      code: 'unavailable',
      message: `cannot subscribe ${durable} to ${stream}: ${(cause as Error).message}`,
      details: { stream, durable },
      cause,
    });
  }
  const subscription = new DurableSubscription<State>(ports, agent, options, handler);
  const followed = followConsumer(presence, {
    stream,
    settings,
    mend: () => ensureConsumer(connection, domain, stream, settings),
    onReplaced: () => subscription.replaced(),
    onError: (error) => tell(options, error),
  });
  const done = subscription.run(followed);
  return {
    stop: async () => {
      subscription.stop();
      await done;
      followed.stop();
    },
  };
}

/** Where a new subscription begins. */
export function deliveryStart(from: SubscribeOptions['from'] = 'beginning'): Partial<ConsumerConfig> {
  if (from === 'beginning') return { deliver_policy: DeliverPolicy.All };
  if (from === 'now') return { deliver_policy: DeliverPolicy.New };
  return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: from.toISOString() };
}

/** What the subscriber does with an error must not end the subscription. */
function tell({ onError }: SubscribeOptions, error: unknown): void {
  try {
    onError?.(error);
  } catch {
    // There is nobody else to tell.
  }
}

/**
 * Delivers in sessions: each is one pull consumer at one consumer of the server. When that one is gone or replaced the session
 * ends, and what it had in hand is neither acknowledged nor put back: the same places may hold other events by now.
 */
class DurableSubscription<State> {
  readonly #ports: SubscriptionPorts;
  readonly #agent: string;
  readonly #options: SubscribeOptions;
  readonly #handler: Handler<State>;
  readonly #stopping = new AbortController();
  #session = new AbortController();
  #hasToldOfOthers = false;

  constructor(ports: SubscriptionPorts, agent: string, options: SubscribeOptions, handler: Handler<State>) {
    this.#ports = ports;
    this.#agent = agent;
    this.#options = options;
    this.#handler = handler;
  }

  /** Takes nothing more in; the event at hand is finished. */
  stop(): void {
    this.#stopping.abort();
  }

  replaced(): void {
    this.#session.abort();
  }

  async run(followed: Followed): Promise<void> {
    const { clock } = this.#ports;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await followed.certain(signal);
      if (signal.aborted) return;
      this.#session = new AbortController();
      try {
        await this.#deliver(followed, AbortSignal.any([this.#session.signal, signal]));
      } catch (error) {
        if (!signal.aborted && !this.#ports.connection.isClosed()) tell(this.#options, error);
      }
      if (this.#ports.connection.isClosed()) return;
      await clock.sleep(PAUSE_MS, signal);
    }
  }

  async #deliver(followed: Followed, over: AbortSignal): Promise<void> {
    const { ackWaitMs = DEFAULT_ACK_WAIT_MS, durable } = this.#options;
    const { clock, connection, domain } = this.#ports;
    const options = { checkAPI: false, ...(domain === undefined ? {} : { domain }) } as const;
    const consumer = await jetstream(connection, options).consumers.get(entityStream(this.#agent), durable);
    const messages = await consumer.consume({ max_messages: AHEAD });
    if (over.aborted) messages.stop();
    over.addEventListener('abort', () => messages.stop(), { once: true });
    void doubtWhenLost(messages, followed);
    for await (const message of oneByOne(messages, clock, ackWaitMs)) {
      await followed.certain(over);
      if (!over.aborted) await this.#handle(message, followed, over);
      // The server sent it ahead: whoever subscribes next need not wait until this delivery runs out.
      else if (!this.#session.signal.aborted) message.nak();
    }
  }

  async #handle(message: JsMsg, followed: Followed, over: AbortSignal): Promise<void> {
    const { durable, events } = this.#options;
    const event = toChange<State>(message);
    if (event === undefined) {
      message.term('no event of MeshForge');
      return;
    }
    if (events?.includes(event.event) === false) {
      this.#leaveToOthers(event, message);
      return;
    }
    let answer = (): void => message.ack();
    try {
      if (await this.#counts(event, message.subject)) {
        const { headers } = message;
        await deliverInSpan({ agent: this.#agent, durable, event, headers }, () => this.#handler(event));
      }
    } catch (error) {
      // Whether the lease has ended can be told in a moment.
      if (!(error instanceof NoAnswerError)) tell(this.#options, error);
      answer = () => message.nak(pauseBefore(message));
    }
    await followed.certain(over);
    if (!this.#session.signal.aborted) answer();
  }

  /** The server writes the end of a lease without a look at what came meanwhile: then it is void. @throws NoAnswerError */
  async #counts(event: ChangeEvent<State>, subject: string): Promise<boolean> {
    const parsed = parseSubject(subject);
    if (parsed?.kind !== 'entity' || parsed.slot !== 'x') return true;
    const { domain, requester } = this.#ports;
    const { entityId, entityVersion: version, sequence } = event;
    const expiry = { agent: this.#agent, entityId, version, sequence };
    return await isCountedExpiry(requester, expiry, domain === undefined ? '$JS.API' : `$JS.${domain}.API`);
  }

  /** The consumer is shared with processes that handle more, maybe of a newer release. */
  #leaveToOthers({ event }: ChangeEvent<State>, message: JsMsg): void {
    message.nak(pauseBefore(message));
    if (this.#hasToldOfOthers) return;
    this.#hasToldOfOthers = true;
    const { durable, events = [] } = this.#options;
    const text =
      `the subscription ${durable} also delivers "${event}", which this process does not handle: it handles ${events.join(', ')}. ` +
      'Such events are left to other processes. If none handles them, subscribe with exactEvents: true';
    tell(this.#options, new MeshError({ code: 'stream_mismatch', message: text, details: { durable, event } }));
  }
}

/** What the server says to a pull when its consumer is gone. */
const LOST: ReadonlySet<string> = new Set([
  'consumer_deleted',
  'consumer_not_found',
  'stream_not_found',
  'no_responders',
  'heartbeats_missed',
]);

async function doubtWhenLost(messages: ConsumerMessages, followed: Followed): Promise<void> {
  for await (const { type } of messages.status()) if (LOST.has(type)) followed.doubt();
}

function pauseBefore(message: JsMsg): number {
  return Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(message.info.deliveryCount - 1, 10));
}

/** Undefined for what no agent has written. */
function toChange<State>(message: JsMsg): ChangeEvent<State> | undefined {
  const parsed = parseSubject(message.subject);
  if (parsed?.kind !== 'entity') return undefined;
  const time = new Date(message.info.timestampNanos / 1_000_000).toISOString();
  try {
    return changeEvent(message, parsed.event, message.seq, time);
  } catch {
    // Its headers cannot be read.
    return undefined;
  }
}
