/**
 * From the commits of one agent to commands for others.
 *
 * Exactly once in effect: the commands of an event have ids that are made of it, so that whatever is delivered, handled or sent
 * once more changes nothing. Events of one entity are handled in order, those of others meanwhile.
 */
import { createHash } from 'node:crypto';
import {
  entityStream,
  entityWildcard,
  isName,
  parseSubject,
  TRACE_HEADERS,
  type AgentContract,
} from '@meshforge/protocol';
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
import { DeadLetters, type WholeLetter } from '../queue/dead-letters.ts';
import { LetterIntake } from '../queue/letter-intake.ts';
import { QueueWorker, type Fault, type Verdict } from '../queue/queue-worker.ts';
import type { QueuedMessage } from '../queue/tenure.ts';
import { deliverInSpan } from '../telemetry/delivery-span.ts';
import { registeredTracer } from '../telemetry/tracer.ts';
import { ensureReactionConsumer, reactionConsumer } from './reaction-consumer.ts';
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
}

/** @throws MeshError `invalid_options`, `unavailable` */
export async function startReaction<State>(
  contract: AgentContract,
  options: ReactOptions,
  handler: Reacting<State>,
  { clock, connection, domain, inboxPrefix, requester, sending }: ReactionOptions,
): Promise<RunningReaction> {
  const { name, events, onFault = () => {}, retry } = options;
  if (!isName(name))
    throw new MeshError({
      code: 'invalid_options',
      message: `name is ${JSON.stringify(name)}: expected ^[a-z][a-z0-9_]{0,63}$`,
    });
  const resolvedRetry = resolveRetry(retry);
  await ensureReactionConsumer(connection, domain, contract.name, options);
  const letters = new DeadLetters(requester, name);
  const react = async (message: QueuedMessage): Promise<Verdict> => {
    const event = toEvent<State>(message, events);
    if (event === undefined) return { kind: 'done' };
    const { headers } = message;
    let isStoring = false;
    const work = deliverInSpan({ agent: contract.name, durable: name, event, headers }, async () => {
      const commands = asList(await handler(event));
      isStoring = true;
      for (const [index, each] of commands.entries()) {
        const { commandId: causationId, correlationId = causationId } = event;
        await sending.sendOnly(each.contract, each.action, {
          ...each.options,
          commandId: derivedId(name, contract.name, event, index),
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
  const worker = new QueueWorker({
    name,
    connection,
    requester,
    clock,
    serverNow: () => clock.wall(),
    inboxPrefix,
    stream: entityStream(contract.name),
    consumer: reactionConsumer(name),
    filter: entityWildcard(contract.name),
    isWorkQueue: false,
    atOnce: AT_ONCE,
    retry: resolvedRetry,
    deadLetters: letters,
    keyOf: ({ subject }) => {
      const parsed = parseSubject(subject);
      return parsed?.kind === 'entity' ? parsed.entityId : undefined;
    },
    attempt: react,
    onRetry: (subject, reason, tries) => onFault(new Error(`reaction ${name}, ${subject}, try ${tries}: ${reason}`)),
    onDead: (subject, reason) => onFault(new Error(`reaction ${name}: ${subject} is a dead letter: ${reason}`)),
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
  worker.start();
  return {
    stats: () => worker.stats(),
    stop: async () => {
      await Promise.all([worker.stop(), intake.stop()]);
    },
  };
}

/** That nobody stores commands for the moment is not the event's fault. */
function faultOf(error: unknown, isStoring: boolean): Fault {
  const reason = error instanceof Error ? error.message : String(error);
  const isOutage = isStoring && error instanceof MeshError && OUTAGES.has(error.code);
  return { kind: 'fault', code: 'failed', reason, ...(isOutage ? { nature: 'outage' } : {}) };
}

const OUTAGES: ReadonlySet<string> = new Set(['timeout', 'unavailable', 'connection']);

/** Undefined for what is no event, or none that is asked for. */
function toEvent<State>(
  { data, headers, sequence, storedAt, subject }: QueuedMessage,
  events: readonly string[] | undefined,
): ChangeEvent<State> | undefined {
  const parsed = parseSubject(subject);
  if (parsed?.kind !== 'entity' || events?.includes(parsed.event) === false) return undefined;
  const time = new Date(storedAt).toISOString();
  return changeEvent({ subject, data, headers }, parsed.event, sequence, time);
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
  return { sequence, subject, headers, data, storedAt: Date.parse(storedAt), isRepeated: true };
}
