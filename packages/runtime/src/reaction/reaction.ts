/**
 * From the commits of one agent to commands for others.
 *
 * Exactly once in effect: the commands of an event have ids that are made of it, so that whatever is delivered, handled or sent
 * once more changes nothing. Events of one entity are handled in order, those of others meanwhile.
 */
import { createHash } from 'node:crypto';
import { entityStream, isName, parseSubject, TRACE_HEADERS, type AgentContract } from '@meshforge/protocol';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import type { MsgHdrs, NatsConnection } from '@nats-io/nats-core';
import { changeEvent } from '../client/event-of.ts';
import type { Sending } from '../client/send.ts';
import type { ChangeEvent } from '../client/types.ts';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import { resolveRetry } from '../options.ts';
import { Voice } from '../intake/reply.ts';
import { INBOX_PREFIX } from '../nats/connect.ts';
import type { Requester } from '../nats/requester.ts';
import { consumerState } from '../nats/stored-messages.ts';
import { DeadLetters, type WholeLetter } from '../durable/dead-letters.ts';
import type { QueuedMessage } from '../durable/delivery.ts';
import { LetterIntake } from '../durable/letter-intake.ts';
import { Worker } from '../durable/worker.ts';
import type { Fault, Verdict } from '../durable/worker-options.ts';
import { followConsumer } from '../nats/presence/follow-consumer.ts';
import type { Presence } from '../nats/presence/presence.ts';
import { isCountedExpiry } from '../nats/counted-expiry.ts';
import { deliverInSpan } from '../telemetry/delivery-span.ts';
import { registeredTracer } from '../telemetry/tracer.ts';
import { ensureReactionConsumer, reactionConsumer, reactionSettings } from './reaction-consumer.ts';
import type { Reacting, ReactionCommand, ReactOptions, RunningReaction } from './types.ts';

/** Events handled at once. */
const AT_ONCE = 64;
/** To store one command, in milliseconds. */
const SEND_MS = 10_000;

export interface ReactionOptions {
  connection: NatsConnection;
  requester: Requester;
  clock: Clock;
  inboxPrefix: string;
  domain: string | undefined;
  sending: Pick<Sending, 'sendOnly'>;
  presence: Presence;
}

/** @throws MeshError `invalid_options`, `unavailable` */
export async function startReaction<State>(
  contract: AgentContract,
  options: ReactOptions,
  handler: Reacting<State>,
  { clock, connection, domain, inboxPrefix, presence, requester, sending }: ReactionOptions,
): Promise<RunningReaction> {
  const { name, events, onFault = () => {}, retry } = options;
  const { name: agent } = contract;
  if (!isName(name))
    throw new MeshError({
      code: 'invalid_options',
      message: `name is ${JSON.stringify(name)}: expected ^[a-z][a-z0-9_]{0,63}$`,
    });
  const resolvedRetry = resolveRetry(retry);
  await ensureReactionConsumer(connection, domain, agent, options);
  const stream = entityStream(agent);
  const consumer = reactionConsumer(name);
  const api = domain === undefined ? '$JS.API' : `$JS.${domain}.API`;
  const letters = new DeadLetters(requester, name);
  const isAskedFor = (event: string): boolean => events?.includes(event) !== false;
  const react = async (message: QueuedMessage): Promise<Verdict> => {
    const parsed = parseSubject(message.subject);
    const event = parsed?.kind === 'entity' ? toEvent<State>(message, parsed.event) : undefined;
    if (parsed?.kind !== 'entity' || event === undefined) return { kind: 'done' };
    const { entityId, entityVersion: version, sequence } = event;
    const isVoid =
      parsed.slot === 'x' && !(await isCountedExpiry(requester, { agent, entityId, version, sequence }, api));
    if (isVoid) return { kind: 'done' };
    const headers = message.headers === 'unreadable' ? undefined : message.headers;
    let isStoring = false;
    const work = deliverInSpan({ agent, durable: name, event, headers }, async () => {
      const commands = asList(await handler(event));
      isStoring = true;
      for (const [index, each] of commands.entries()) {
        const { commandId: causationId, correlationId = causationId } = event;
        await sending.sendOnly(each.contract, each.action, {
          ...each.options,
          commandId: derivedId(name, agent, event, index),
          correlationId,
          causationId,
          // Where spans are made, the command continues that of the handler.
          trace: registeredTracer() === undefined ? traceOf(headers) : {},
          timeoutMs: SEND_MS,
        });
      }
    });
    return await work.then(
      () => ({ kind: 'done' }) as const,
      (error: unknown) => faultOf(error, isStoring),
    );
  };
  let isRedefined = false;
  const worker = new Worker({
    name,
    connection,
    requester,
    clock,
    serverNow: () => clock.wall(),
    inboxPrefix,
    api,
    stream,
    consumer,
    atOnce: AT_ONCE,
    retry: resolvedRetry,
    order: {
      kind: 'delivered',
      missing: async (held) => {
        const state = await consumerState(requester, stream, consumer, api);
        return state === undefined ? 0 : state.unacknowledged - held(state.delivered);
      },
    },
    entityOf: ({ subject }) => subject.split('.', 3).join('.'),
    handles: ({ subject }) => {
      const parsed = parseSubject(subject);
      if (parsed?.kind !== 'entity' || isAskedFor(parsed.event)) return true;
      if (!isRedefined) onFault(redefined(name, parsed.event, events));
      isRedefined = true;
      return false;
    },
    attempt: react,
    bury: (message, death) => letters.add(message, death),
    onRetry: (subject, reason, tries) => onFault(new Error(`reaction ${name}, ${subject}, try ${tries}: ${reason}`)),
    onDead: (subject, reason) => onFault(new Error(`reaction ${name}: ${subject} is a dead letter: ${reason}`)),
    onAbsent: () => followed.look(),
    onFault,
  });
  const intake = new LetterIntake({
    agent: name,
    connection,
    voice: new Voice(connection, name),
    letters,
    inboxPrefix: INBOX_PREFIX,
    maxPayload: () => connection.info?.max_payload ?? 1_048_576,
    replay: async (letter) => {
      const verdict = await react(messageOf(letter));
      return verdict.kind === 'fault' ? verdict.reason : undefined;
    },
    onFault,
  });
  const followed = followConsumer(presence, {
    stream,
    settings: reactionSettings(agent, options),
    mend: () => ensureReactionConsumer(connection, domain, agent, { ...options, exactEvents: false }),
    onDoubt: (doubt) => {
      if (doubt === 'identity') worker.forget();
    },
    onError: onFault,
  });
  worker.start();
  return {
    stats: () => worker.stats(),
    stop: async () => {
      await Promise.all([worker.stop(), intake.stop()]);
      followed.stop();
    },
  };
}

/** Another process has added events to the reaction of this name. */
function redefined(name: string, event: string, events: readonly string[] = []): MeshError {
  return new MeshError({
    code: 'stream_mismatch',
    message:
      `the reaction ${name} is also delivered "${event}", which this process does not handle: it handles ${events.join(', ')}. ` +
      'It leaves the events to other processes. If none handles them, start the reaction with exactEvents: true',
    details: { name, event },
  });
}

/** That nobody stores commands for the moment is not the event's fault. */
function faultOf(error: unknown, isStoring: boolean): Fault {
  const reason = error instanceof Error ? error.message : String(error);
  const isOutage = isStoring && error instanceof MeshError && OUTAGES.has(error.code);
  return { kind: 'fault', code: 'failed', reason, ...(isOutage ? { nature: 'outage' } : {}) };
}

const OUTAGES: ReadonlySet<string> = new Set(['timeout', 'unavailable', 'connection']);

/** Undefined for what no agent has written. */
function toEvent<State>(
  { data, headers, sequence, storedAt, subject }: QueuedMessage,
  event: string,
): ChangeEvent<State> | undefined {
  if (headers === 'unreadable') return undefined;
  return changeEvent({ subject, data, headers }, event, sequence, new Date(storedAt).toISOString());
}

function asList(commands: Awaited<ReturnType<Reacting<unknown>>>): readonly ReactionCommand[] {
  if (commands === undefined) return [];
  return Array.isArray(commands) ? (commands as readonly ReactionCommand[]) : [commands as ReactionCommand];
}

/** The same for every handling of an event, and for no other: a stream that was made anew counts from 1 again. */
function derivedId(name: string, agent: string, event: ChangeEvent<unknown>, index: number): string {
  const { commandId, entityId, entityVersion, event: kind } = event;
  const parts = JSON.stringify([name, agent, entityId, entityVersion, kind, commandId, index]);
  return `${name}-${createHash('sha256').update(parts).digest('base64url').slice(0, 27)}`;
}

function traceOf(headers: MsgHdrs | undefined): { traceparent?: string; tracestate?: string; baggage?: string } {
  const found = TRACE_HEADERS.map((name) => [name, headers?.get(name) ?? ''] as const);
  return Object.fromEntries(found.filter(([, value]) => value !== ''));
}

function messageOf({ data, headers: lines, letter }: WholeLetter): QueuedMessage {
  const headers = new MsgHdrsImpl();
  for (const [name, value] of lines) headers.append(name, value);
  const { sequence, stored_at: storedAt, subject } = letter;
  return { sequence, subject, headers, data, storedAt: Date.parse(storedAt) };
}
