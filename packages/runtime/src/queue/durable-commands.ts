/**
 * Executes the durable commands of an agent, by the same path as requests.
 *
 * Invariants
 * - Commands on one entity are executed in the order in which they were stored, across replicas and retries.
 * - A command leaves the stream only after its outcome is in the entity's log, or written down and told if nothing changed, or
 *   after it is stored as a dead letter.
 * - What was told of a command stays true: a refusal is written down before.
 * - What is tried again is a fault and nothing else: a conflict, a denial or the refusal of a rule is an outcome.
 */
import { commandStream, HEADERS, queuedCommandWildcard } from '@meshforge/protocol';
import type { StoreOutcome } from '../core/outcome.ts';
import type { CommandIntake } from '../intake/command-intake.ts';
import { readCommandHeaders, type ReadHeaders } from '../intake/command-headers.ts';
import { entityIdOf } from './dead-letters.ts';
import { wasCancelled } from './delayed-commands.ts';
import { recordedRefusal, recordRefusal } from './recorded-refusals.ts';
import { QueueWorker, type Fault, type QueueWorkerOptions, type Verdict } from './queue-worker.ts';
import type { QueuedMessage, Tenure } from './tenure.ts';

/** The consumer of the stream, one for all replicas. */
export const EXECUTOR = 'executor';
const MAX_AT_ONCE = 64;
/** What no later try of this version of the agent would make better. */
const HOPELESS = new Set(['invalid_command', 'unknown_action']);

export interface DurableCommandsOptions extends Pick<
  QueueWorkerOptions,
  | 'connection'
  | 'requester'
  | 'clock'
  | 'inboxPrefix'
  | 'serverNow'
  | 'retry'
  | 'deadLetters'
  | 'onRetry'
  | 'onDead'
  | 'onFault'
> {
  agent: string;
  intake: Pick<CommandIntake, 'decideQueued' | 'concludeQueued'>;
}

export function durableCommands({ agent, intake, ...options }: DurableCommandsOptions): QueueWorker {
  const { requester } = options;
  /** Of those that were tried: where it is written that it is not refused, 0 = nowhere; undefined: a refusal may be written down, or on its way there. */
  const notRefused = new WeakMap<QueuedMessage, number | undefined>();
  return new QueueWorker({
    ...options,
    name: agent,
    stream: commandStream(agent),
    consumer: EXECUTOR,
    filter: queuedCommandWildcard(agent),
    isWorkQueue: true,
    atOnce: MAX_AT_ONCE,
    keyOf: ({ data }) => entityIdOf(data),
    attempt: async (message, tenure) => {
      if (await wasCancelled(requester, agent, message)) return { kind: 'done' };
      return await execute(message, tenure);
    },
  });

  async function execute(message: QueuedMessage, tenure: Tenure): Promise<Verdict> {
    const { data, sequence, subject } = message;
    const action = subject.slice(subject.lastIndexOf('.') + 1);
    const headers = headersOfQueued(agent, message);
    const inbox = message.headers?.get(HEADERS.outcomeTo) ?? '';
    const started = performance.now();
    const conclude = (outcome: StoreOutcome) => () =>
      intake.concludeQueued(action, headers, outcome, { inbox, started });
    const isRepeated = message.isRepeated || notRefused.has(message);
    let none = isRepeated ? notRefused.get(message) : 0;
    if (none === undefined) {
      const written = await recordedRefusal(requester, agent, sequence);
      if ('refusal' in written) return { kind: 'done', conclude: conclude(written.refusal) };
      none = written.none;
    }
    notRefused.set(message, none);
    const outcome = await intake.decideQueued(action, data, headers, sequence);
    if (outcome.kind === 'abandoned' || outcome.kind === 'held') return { kind: 'not_mine' };
    if (!('code' in outcome)) return { kind: 'done', conclude: conclude(outcome) };
    const fault = faultIn(outcome);
    if (fault !== undefined) {
      const { code, reason } = outcome;
      return { kind: 'fault', code, reason, conclude: conclude(outcome), ...fault };
    }
    notRefused.set(message, undefined);
    const standing = await recordRefusal(requester, agent, sequence, outcome, none);
    // Else another replica may have decided before this was written down.
    return tenure.isCurrent() ? { kind: 'done', conclude: conclude(standing) } : { kind: 'not_mine' };
  }
}

/** Undefined for what is no fault. */
function faultIn(outcome: StoreOutcome): Pick<Fault, 'nature'> | undefined {
  if (outcome.kind === 'rejected') return HOPELESS.has(outcome.code) ? { nature: 'hopeless' } : undefined;
  if (outcome.kind !== 'unavailable') return undefined;
  return outcome.isDefect === true ? {} : { nature: 'outage' };
}

/** Each delivery of a command must have the same id, also one whose sender gave it none. */
function headersOfQueued(agent: string, { headers, sequence, storedAt }: QueuedMessage): ReadHeaders {
  const read = readCommandHeaders(headers === undefined ? {} : { headers });
  if ((headers?.get(HEADERS.commandId) ?? '') !== '') return read;
  const commandId = `${commandStream(agent)}-${sequence}-${storedAt}`;
  const lines = read.lines.map(([name, value]) => [name, name === HEADERS.commandId ? commandId : value] as const);
  return { ...read, commandId, lines };
}
