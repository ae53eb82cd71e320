/**
 * Executes the durable commands of an agent, by the same path as requests.
 *
 * Invariants
 * - A command runs only when it is the oldest one that is stored for its entity.
 * - A command leaves the stream only after its outcome is in the entity's log, or after it is stored as a dead letter. Before
 *   that the entity's mark is moved past it, so that no replica decides it any more.
 * - What is tried again is a fault and nothing else: a conflict, a denial or the refusal of a rule is an outcome.
 */
import {
  commandStream,
  HEADERS,
  LIMITS,
  parseSubject,
  printable,
  type ParsedSubject,
  type RejectedPayload,
} from '@meshforge/protocol';
import { refusal, type StoreOutcome } from '../core/outcome.ts';
import { readCommandHeaders, type ReadHeaders } from '../intake/command-headers.ts';
import type { CommandIntake } from '../intake/command-intake.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import { deleteMessage, nextMessage } from '../nats/stored-messages.ts';
import type { EntityStore } from '../store/entity-store.ts';
import { EXECUTOR } from './consumer.ts';
import type { DeadLetters, Death } from './dead-letters.ts';
import { scheduleOf, wasCancelled } from './delayed-commands.ts';
import { headerOf, identityOf, type QueuedMessage } from './delivery.ts';
import { Worker } from './worker.ts';
import type { Fault, Verdict, WorkerOptions } from './worker-options.ts';

const AT_ONCE = 128;
/** What no later try of this version of the agent would make better. */
const HOPELESS = new Set(['invalid_command', 'unknown_action']);

export interface DurableCommandsOptions extends Pick<
  WorkerOptions,
  | 'connection'
  | 'requester'
  | 'clock'
  | 'inboxPrefix'
  | 'serverNow'
  | 'retry'
  | 'onRetry'
  | 'onDead'
  | 'onAbsent'
  | 'onFault'
> {
  agent: string;
  intake: Pick<CommandIntake, 'decideQueued' | 'concludeQueued'>;
  store: Pick<EntityStore, 'moveMark'>;
  letters: Pick<DeadLetters, 'add'>;
}

type Queued = Extract<ParsedSubject, { kind: 'queued' }>;

export function durableCommands({ agent, intake, letters, store, ...options }: DurableCommandsOptions): Worker {
  const { requester } = options;
  const stream = commandStream(agent);
  return new Worker({
    ...options,
    name: agent,
    stream,
    consumer: EXECUTOR,
    atOnce: AT_ONCE,
    entityOf: ({ subject }) => subject.slice(0, subject.lastIndexOf('.')),
    order: {
      kind: 'stored',
      oldest: async (entity) => await stored(`${entity}.*`, 1),
      remove: ({ sequence }) => deleteMessage(requester, stream, sequence),
    },
    attempt,
    bury,
  });

  async function stored(filter: string, from: number): Promise<QueuedMessage | undefined> {
    const found = await nextMessage(requester, stream, filter, from);
    if (found === undefined) return undefined;
    const { data, sequence, subject, time, hasUnreadableHeaders } = found;
    const headers = hasUnreadableHeaders === true ? 'unreadable' : found.headers;
    return { sequence, subject, headers, data, storedAt: Date.parse(time) };
  }

  async function attempt(message: QueuedMessage): Promise<Verdict> {
    const { data, sequence, storedAt, subject } = message;
    const started = performance.now();
    const parsed = parseSubject(subject);
    const action = subject.slice(subject.lastIndexOf('.') + 1);
    const headers = headersOfQueued(stream, message);
    const inbox = headerOf(message, HEADERS.outcomeTo);
    const concluding = (outcome: StoreOutcome) => () =>
      intake.concludeQueued(action, headers, outcome, { inbox, started });
    if (parsed?.kind !== 'queued') {
      const outcome = refused(null, action, 'invalid_command', `${subject} names no entity: expected its encoded id`);
      return faultOf(outcome, concluding(outcome));
    }
    const outcome =
      (await refusedAsItIs(parsed, message)) ??
      (await intake.decideQueued(action, data, headers, { sequence, storedAt, entityId: parsed.entityId }));
    return await verdictOn(outcome, message, concluding(outcome));
  }

  /** The refusal of a command for how it was stored, whatever it says. */
  async function refusedAsItIs(queued: Queued, message: QueuedMessage): Promise<StoreOutcome | undefined> {
    const { action, entityId } = queued;
    if (headerOf(message, 'Nats-Schedule') !== '') {
      const reason = 'it is a schedule itself: a command that is to wait belongs on queue.later';
      return refused(entityId, action, 'invalid_command', reason);
    }
    const schedule = scheduleOf(queued, message);
    if (schedule.kind === 'none') return undefined;
    if (schedule.kind === 'foreign') {
      const reason = `${printable(schedule.subject, LIMITS.reasonCharacters / 2)} is no delayed command to this entity`;
      return refused(entityId, action, 'invalid_command', reason);
    }
    if (!(await wasCancelled(requester, agent, schedule.key))) return undefined;
    // The note of the cancellation does not stay. The mark does.
    const why = await store.moveMark(entityId, message);
    if (why !== undefined) throw new NoAnswerError(stream, why);
    return refused(entityId, action, 'cancelled', 'it was cancelled before its time came');
  }

  async function verdictOn(outcome: StoreOutcome, message: QueuedMessage, conclude: () => void): Promise<Verdict> {
    if (outcome.kind === 'abandoned' || outcome.kind === 'deferred') return { kind: 'abandoned' };
    if (!('code' in outcome)) return { kind: 'done', conclude };
    if (outcome.kind === 'decided_before') {
      if (outcome.isCommitted) return { kind: 'done', conclude };
      // Another worker may have seen to it meanwhile: its letter must not be stored again.
      const found = await stored(message.subject, message.sequence);
      if (found === undefined || identityOf(found) !== identityOf(message)) return { kind: 'done' };
    }
    return isFault(outcome) ? faultOf(outcome, conclude) : { kind: 'done', conclude };
  }

  async function bury(message: QueuedMessage, death: Death): Promise<string | undefined> {
    const parsed = parseSubject(message.subject);
    const why = parsed?.kind === 'queued' ? await store.moveMark(parsed.entityId, message) : undefined;
    return why ?? (await letters.add(message, death));
  }
}

type Refused = Extract<StoreOutcome, { code: string }>;

function isFault({ code, kind }: Refused): boolean {
  if (kind === 'rejected') return HOPELESS.has(code);
  return kind === 'unavailable' || kind === 'decided_before';
}

function faultOf(outcome: Refused, conclude: () => void): Fault {
  const { code, reason } = outcome;
  const fault: Fault = { kind: 'fault', code, reason, conclude };
  if (outcome.kind !== 'unavailable') return { ...fault, nature: 'hopeless' };
  return outcome.isDefect === true ? fault : { ...fault, nature: 'outage' };
}

function refused(entityId: string | null, action: string, code: string, reason: string) {
  const payload: RejectedPayload = {
    entity_id: entityId,
    action: printable(action, LIMITS.nameCharacters),
    code,
    reason,
  };
  return refusal('rejected', payload);
}

/** Each delivery of a command must have the same id, also one whose sender gave it none. */
function headersOfQueued(stream: string, message: QueuedMessage): ReadHeaders {
  const read = readCommandHeaders(message.headers);
  if (headerOf(message, HEADERS.commandId) !== '') return read;
  const commandId = `${stream}-${identityOf(message)}`;
  const lines = read.lines.map(([name, value]) => [name, name === HEADERS.commandId ? commandId : value] as const);
  return { ...read, commandId, lines };
}
