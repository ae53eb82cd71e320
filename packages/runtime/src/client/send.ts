import {
  delayedCommandSubject,
  HEADERS,
  queuedActionFilter,
  queuedCommandSubject,
  type AgentContract,
} from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import { nuid } from '@nats-io/nats-core';
import { MeshError } from '../errors.ts';
import { digestOf, messageDigest } from '../nats/digest.ts';
import { readPublishAck } from '../nats/jetstream-errors.ts';
import { rawHeaders } from '../nats/raw-headers.ts';
import { requestInSpan } from '../telemetry/request-span.ts';
import { cancelDelayed, isCancelled } from './cancel.ts';
import { commandBody } from './command-body.ts';
import { commandHeaders } from './command-headers.ts';
import type { Inboxes, OutcomeInbox } from './outcome-inbox.ts';
import { requestPatiently, type Asking, type Judgement } from './patient-requester.ts';
import type { ServerTime } from './server-time.ts';
import type { ActionOf, CommandOutcome, DataOf, RequestOptions } from './types.ts';

export interface SendOptions<Data> extends Omit<RequestOptions<Data>, 'tryTimeoutMs'> {
  /** When it is to be executed; a time that is past means now. The server's clock counts. Default: at once. */
  at?: Date;
  /** How long from now on, in milliseconds, instead of `at`. */
  afterMs?: number;
}

/** A durable command that is stored. */
export interface Sent<C extends AgentContract, A extends ActionOf<C>> {
  readonly commandId: string;
  /**
   * What became of it, when that is known. It is told once, and to a connection that stands; what is missed here is in the
   * entity's history all the same.
   *
   * @param options `timeoutMs`: how long to wait, default 30,000
   * @throws MeshError `timeout`: not told in time; the command is still stored, or it was executed
   */
  outcome(options?: { timeoutMs?: number }): Promise<CommandOutcome<C, A>>;
  /** As `mesh.cancel` does. */
  cancel(): Promise<boolean>;
}

/** Which delayed command. */
export interface SentCommand {
  entityId: string;
  commandId: string;
}

interface SendingOptions extends Asking {
  inboxes: Inboxes;
  serverTime: ServerTime;
}

/** A time that a `Date` cannot be made of would become a schedule that no server understands. */
const MAX_TIME_MS = 8_640_000_000_000_000;
const DEFAULT_OUTCOME_MS = 30_000;

/** Sends commands that are stored until they have been executed. */
export class Sending {
  readonly #options: SendingOptions;

  constructor(options: SendingOptions) {
    this.#options = options;
  }

  async send<C extends AgentContract, A extends ActionOf<C>>(
    contract: C,
    action: A,
    options: SendOptions<DataOf<C, A>>,
  ): Promise<Sent<C, A>> {
    const { entityId } = options;
    const { commandId, isLater, outcome, what } = await this.#store(contract, action, options, this.#options.inboxes);
    return {
      commandId,
      outcome: async ({ timeoutMs: patienceMs = DEFAULT_OUTCOME_MS } = {}) => {
        const told = await outcome?.told(patienceMs, `the outcome of ${what}`);
        return { ...told, commandId } as CommandOutcome<C, A>;
      },
      cancel: () => (isLater ? this.cancel(contract, { entityId, commandId }) : Promise.resolve(false)),
    };
  }

  /** Sends a command of whose outcome nobody is told. */
  async sendOnly(contract: AgentContract, action: string, options: SendOptions<unknown>): Promise<void> {
    await this.#store(contract, action, options, undefined);
  }

  async #store(
    contract: AgentContract,
    action: string,
    options: SendOptions<unknown>,
    inboxes: Inboxes | undefined,
  ): Promise<{ commandId: string; isLater: boolean; outcome: OutcomeInbox | undefined; what: string }> {
    const { clock, requester, serverTime } = this.#options;
    const { commandId = nuid.next(), correlationId, entityId, timeoutMs = this.#options.timeoutMs } = options;
    const at = timeOf(options, clock.wall());
    const target = queuedCommandSubject(contract.name, entityId, action);
    const isLater = at !== undefined && at > clock.wall();
    const subject = isLater ? delayedCommandSubject(contract.name, entityId, digestOf(commandId)) : target;
    const body = commandBody(options);
    const outcome = inboxes?.open();
    const lines = [...commandHeaders(commandId, options), ...serverTime.deadline(options.notAfterMs)];
    const schedule = isLater ? `@at ${new Date(at).toISOString()}` : '';
    const ofStream: [string, string][] = [
      // Within ten minutes a repetition is not stored again; after that the entity knows the command. Another command under
      // the same id is none: it is stored, and the agent refuses it.
      ['Nats-Msg-Id', `${commandId} ${messageDigest(target, schedule, body)}`],
    ];
    if (outcome !== undefined) ofStream.push([HEADERS.outcomeTo, outcome.subject]);
    if (isLater) ofStream.push(['Nats-Schedule', schedule], ['Nats-Schedule-Target', target]);
    const what = `durable command ${commandId} (${target})`;
    const doubt = 'It may be stored; send it again with the same command id';
    if (isLater && (await isCancelled({ ...this.#options, timeoutMs }, contract.name, commandId))) {
      throw new MeshError({
        code: 'rejected',
        message: `${what} was not stored: its id was cancelled within the last hour. Send it under another id`,
        details: { commandId, why: 'cancelled' },
      });
    }
    // As traces name it: not one destination for each entity.
    const destination = queuedActionFilter(contract.name, action);
    const command = { subject: destination, agent: contract.name, action, entityId, commandId, correlationId, lines };
    await requestInSpan({ operation: 'send', ...command }, (traced) =>
      requestPatiently(
        requester,
        clock,
        { subject, body, headers: rawHeaders([...traced, ...ofStream]), timeoutMs, what, doubt },
        (message) => storedOrWhy(message, what),
      ),
    );
    return { commandId, isLater, outcome, what };
  }

  /** See `Mesh.cancel`. */
  cancel(contract: AgentContract, command: SentCommand): Promise<boolean> {
    return cancelDelayed(this.#options, contract.name, command);
  }
}

function storedOrWhy(message: Msg, what: string): Judgement<void> {
  const ack = readPublishAck({ kind: 'answer', message });
  if (ack.kind === 'stored' || ack.kind === 'duplicate') return { done: true, value: undefined };
  if (ack.kind !== 'refused') return { done: false, why: 'why' in ack ? ack.why : 'another write is under way' };
  throw new MeshError({ code: 'rejected', message: `${what} was not stored: ${ack.why}`, details: { why: ack.why } });
}

function timeOf({ at, afterMs }: SendOptions<unknown>, now: number): number | undefined {
  if (at !== undefined && afterMs !== undefined) throw invalid('at and afterMs are both given: expected one of them');
  const time = at === undefined ? (afterMs === undefined ? undefined : now + afterMs) : at.getTime();
  if (time === undefined || Math.abs(time) <= MAX_TIME_MS) return time;
  throw invalid(at === undefined ? `afterMs is ${afterMs}: expected a number` : 'at is no time');
}

function invalid(message: string): MeshError {
  return new MeshError({ code: 'invalid_options', message });
}
