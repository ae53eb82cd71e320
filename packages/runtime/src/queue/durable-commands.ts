/**
 * Executes the durable commands of an agent, by the same path as requests.
 *
 * Invariants
 * - Commands on one entity are executed in the order in which they were stored, across replicas and retries.
 * - A command leaves the stream only after its outcome is in the entity's log, or told if nothing changed, or after it is stored
 *   as a dead letter.
 * - What is tried again is a fault and nothing else: a conflict, a denial or the refusal of a rule is an outcome.
 */
import { commandStream, HEADERS, queuedCommandWildcard } from '@meshforge/protocol';
import type { StoreOutcome } from '../core/outcome.ts';
import type { CommandIntake } from '../intake/command-intake.ts';
import { readCommandHeaders, type ReadHeaders } from '../intake/command-headers.ts';
import { entityIdOf } from './dead-letters.ts';
import { wasCancelled } from './delayed-commands.ts';
import { QueueWorker, type Fault, type QueueWorkerOptions, type Verdict } from './queue-worker.ts';
import type { QueuedMessage, Tenure } from './tenure.ts';

/** The consumer of the stream, one for all replicas. */
export const EXECUTOR = 'executor';
const MAX_AT_ONCE = 256;
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
      const isCancelled = await outageOr(wasCancelled(options.requester, agent, message));
      if (isCancelled === true) return { kind: 'done' };
      return typeof isCancelled === 'object' ? isCancelled : await execute(agent, intake, message, tenure);
    },
  });
}

async function execute(
  agent: string,
  intake: DurableCommandsOptions['intake'],
  message: QueuedMessage,
  tenure: Tenure,
): Promise<Verdict> {
  const action = message.subject.slice(message.subject.lastIndexOf('.') + 1);
  const headers = headersOfQueued(agent, message);
  const started = performance.now();
  const outcome = await intake.decideQueued(action, message.data, headers, () => tenure.isCurrent());
  if (outcome.kind === 'abandoned' || outcome.kind === 'held') return { kind: 'not_mine' };
  const inbox = message.headers?.get(HEADERS.outcomeTo) ?? '';
  const conclude = (): void => intake.concludeQueued(action, headers, outcome, { inbox, started });
  const nature = natureOf(outcome);
  if (nature === undefined || !('code' in outcome)) return { kind: 'done', conclude };
  const { code, reason } = outcome;
  return { kind: 'fault', code, reason, conclude, ...(nature === 'its own' ? {} : { nature }) };
}

/** That the server does not answer is not the command's fault. */
async function outageOr<T>(work: Promise<T>): Promise<T | Fault> {
  try {
    return await work;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'fault', code: 'unavailable', reason, nature: 'outage' };
  }
}

/** Undefined for what is no fault. */
function natureOf(outcome: StoreOutcome): Fault['nature'] | 'its own' {
  if (outcome.kind === 'rejected') return HOPELESS.has(outcome.code) ? 'hopeless' : undefined;
  if (outcome.kind !== 'unavailable') return undefined;
  return outcome.defect === true ? 'its own' : 'outage';
}

/** Each delivery of a command must have the same id, also one whose sender gave it none. */
function headersOfQueued(agent: string, { headers, sequence, storedAt }: QueuedMessage): ReadHeaders {
  const read = readCommandHeaders(headers === undefined ? {} : { headers });
  if ((headers?.get(HEADERS.commandId) ?? '') !== '') return read;
  const commandId = `${commandStream(agent)}-${sequence}-${storedAt}`;
  const lines = read.lines.map(([name, value]) => [name, name === HEADERS.commandId ? commandId : value] as const);
  return { ...read, commandId, lines };
}
