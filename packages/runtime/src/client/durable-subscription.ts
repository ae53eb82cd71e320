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
import { MeshError } from '../errors.ts';
import { ensureConsumer } from '../nats/consumers.ts';
import { deliverInSpan } from '../telemetry/delivery-span.ts';
import { changeEvent } from './event-of.ts';
import { oneByOne } from './one-by-one.ts';
import type { ChangeEvent, EventSubscription, SubscribeOptions } from './types.ts';

const DEFAULT_ACK_WAIT_MS = 30_000;
/** First pause before a failed event comes again, in milliseconds; doubles up to 30 s. */
const RETRY_MS = 250;
const MAX_RETRY_MS = 30_000;
/** Events the server sends ahead. */
const AHEAD = 64;

type Handler<State> = (event: ChangeEvent<State>) => void | Promise<void>;

/**
 * Hands every commit of an agent to a handler, at least once, also those of the time when nobody listened: the
 * subscription is a consumer on the agent's own stream. An event is acknowledged when its handler is done; one whose
 * handler fails comes again later, behind younger ones.
 */
export async function subscribeDurably<State>(
  connection: NatsConnection,
  jetstreamOptions: { checkAPI: false; domain?: string },
  agent: string,
  options: SubscribeOptions,
  handler: Handler<State>,
): Promise<EventSubscription> {
  const stream = entityStream(agent);
  const { durable, events = ['*'], ackWaitMs = DEFAULT_ACK_WAIT_MS } = options;
  const settings = {
    durable_name: durable,
    ack_wait: nanos(ackWaitMs),
    filter_subjects: events.map((event) => entityEventFilter(agent, event)),
  };
  const first = { ack_policy: AckPolicy.Explicit, max_ack_pending: AHEAD, ...deliveryStart(options.from) };
  try {
    await ensureConsumer(connection, jetstreamOptions.domain, stream, settings, first);
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    throw new MeshError({
      code: 'unavailable',
      message: `cannot subscribe ${durable} to ${stream}: ${(cause as Error).message}`,
      details: { stream, durable },
      cause,
    });
  }
  // The JetStream module changes the options that it gets.
  const consumer = await jetstream(connection, { ...jetstreamOptions }).consumers.get(stream, durable);
  const messages = await consumer.consume({ max_messages: AHEAD });
  const stopping = new AbortController();
  const done = deliver(agent, messages, options, handler, stopping.signal);
  return {
    stop: async () => {
      stopping.abort();
      messages.stop();
      await done;
    },
  };
}

/** Where a new subscription begins. */
export function deliveryStart(from: SubscribeOptions['from'] = 'beginning'): Partial<ConsumerConfig> {
  if (from === 'beginning') return { deliver_policy: DeliverPolicy.All };
  if (from === 'now') return { deliver_policy: DeliverPolicy.New };
  return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: from.toISOString() };
}

async function deliver<State>(
  agent: string,
  messages: ConsumerMessages,
  options: SubscribeOptions,
  handler: Handler<State>,
  stopping: AbortSignal,
): Promise<void> {
  const { ackWaitMs = DEFAULT_ACK_WAIT_MS, durable } = options;
  for await (const message of oneByOne(messages, ackWaitMs)) {
    if (stopping.aborted) {
      // The server sent it ahead: whoever subscribes next need not wait until this delivery runs out.
      message.nak();
      continue;
    }
    const event = toChange<State>(message);
    if (event === undefined) {
      message.term('no event of MeshForge');
      continue;
    }
    try {
      await deliverInSpan({ agent, durable, event, headers: message.headers }, () => handler(event));
      message.ack();
    } catch (error) {
      options.onError?.(error);
      message.nak(Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(message.info.deliveryCount - 1, 10)));
    }
  }
}

function toChange<State>(message: JsMsg): ChangeEvent<State> | undefined {
  const parsed = parseSubject(message.subject);
  if (parsed?.kind !== 'entity') return undefined;
  const time = new Date(message.info.timestampNanos / 1_000_000).toISOString();
  return changeEvent(message, parsed.event, message.seq, time);
}
