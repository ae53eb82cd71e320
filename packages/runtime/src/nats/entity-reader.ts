import { entityFilter, entityStream, entitySubject } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import { entityAfter, entityIn, NO_ENTITY, type Entity, type LogEntry, type StandingLease } from '../core/entity.ts';
import { apiResponse, MESSAGE_NOT_FOUND } from './jetstream-errors.ts';
import type { Answer, RequestPort } from './requester.ts';
import {
  fromDirectGet,
  fromMessageGet,
  logMessage,
  type ApiMessage,
  type LogMessage,
  type StoredMessage,
} from './stored-message.ts';
import { utf8 } from './utf8.ts';

/** What a read found. `unavailable`: nobody answered; the read may be tried again. */
export type ReadResult<T> = { kind: 'read'; value: T } | { kind: 'unavailable'; why: string };

const EMPTY = new Uint8Array();
/** Status of a Direct Get that found nothing. */
const NO_MESSAGE = 404;
/** A lease that ends within so many milliseconds may have ended: by so much the server's time is not known. */
const CLOCK_ERROR_MS = 2_000;
/** Looks at a whole log before the read is given up for the moment: a server that lags catches up meanwhile. */
const MAX_LOOKS = 3;

export interface EntityReaderOptions {
  agent: AnyAgent;
  requester: RequestPort;
  /** Whether several servers keep the stream, so that one may answer with something old. It can change while the agent runs. */
  isReplicated: () => boolean;
  /** Milliseconds since the epoch, by the server's clock. Default: every lease may have ended. */
  serverNow?: () => number;
}

/**
 * Reads an agent's log.
 *
 * A Direct Get is answered by any replica and may lag behind the leader; `authoritative` reads go to the leader. On a
 * stream of one replica both are the same server, so the faster one serves for both.
 */
export class EntityReader {
  readonly #agent: AnyAgent;
  readonly #requester: RequestPort;
  readonly #stream: string;
  readonly #isReplicated: () => boolean;
  readonly #serverNow: () => number;

  constructor({ agent, requester, isReplicated, serverNow }: EntityReaderOptions) {
    this.#agent = agent;
    this.#requester = requester;
    this.#stream = entityStream(agent.name);
    this.#isReplicated = isReplicated;
    this.#serverNow = serverNow ?? (() => Number.POSITIVE_INFINITY);
  }

  /** Whether any read is as good as one from the leader. */
  get alwaysAuthoritative(): boolean {
    return !this.#isReplicated();
  }

  /** The entity as its log says; unavailable too where that holds a message that no agent wrote. */
  async entity(entityId: string, authoritative: boolean): Promise<ReadResult<Entity>> {
    try {
      return await this.#entity(entityId, authoritative);
    } catch {
      return { kind: 'unavailable', why: 'its log holds a message that no agent wrote' };
    }
  }

  async #entity(entityId: string, authoritative: boolean): Promise<ReadResult<Entity>> {
    const filter = entityFilter(this.#agent.name, entityId);
    const last = await this.#lastOn(filter, authoritative);
    if (last.kind === 'unavailable') return last;
    if (last.value === undefined) return { kind: 'read', value: NO_ENTITY };
    const { entry, sequence } = logMessage(last.value);
    if (!this.#hidesMore(entry)) return { kind: 'read', value: entityAfter(this.#agent, entry, sequence) };
    return await this.#whole(entityId, sequence);
  }

  /**
   * Whether the last message alone does not tell how the entity stands. The server writes an expiry without a look at what came
   * before it. And a replicated stream can take in what left a lease alone behind the end of that lease.
   */
  #hidesMore({ kind, lease }: LogEntry): boolean {
    if (kind === 'expiry') return true;
    return kind !== 'commit' && lease !== undefined && lease.endsAt - CLOCK_ERROR_MS <= this.#serverNow();
  }

  /** The entity from the last message of each of its subjects, read at once. @param known sequence of one of them */
  async #whole(entityId: string, known: number): Promise<ReadResult<Entity>> {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const read = await this.#lastOfEach(entityFilter(this.#agent.name, entityId));
      if (read.kind === 'unavailable') return read;
      // From a server that lags, some may be missing.
      if (!read.value.some(({ sequence }) => sequence >= known)) continue;
      const hidden = await this.#hiddenExpiries(entityId, read.value);
      if (hidden.kind === 'unavailable') return hidden;
      return { kind: 'read', value: entityIn(this.#agent, [...read.value, ...hidden.value]) };
    }
    return { kind: 'unavailable', why: 'the server that answers lags behind' };
  }

  /**
   * Expiries of later leases that the last expiry hides. A server that was killed can have kept the schedule of a lease that is
   * over: it fires late, maybe behind the expiry of a later lease.
   */
  async #hiddenExpiries(entityId: string, logged: readonly LogMessage[]): Promise<ReadResult<LogMessage[]>> {
    const { lease, name } = this.#agent;
    const hidden: LogMessage[] = [];
    const guarded = logged.findLast(({ entry }) => entry.kind !== 'expiry')?.sequence ?? 0;
    let last = logged.findLast(({ entry }) => entry.kind === 'expiry');
    if (lease === undefined) return { kind: 'read', value: hidden };
    while (last !== undefined && last.sequence > guarded) {
      const subject = entitySubject(name, entityId, 'x', lease.expiryEvent);
      const read = await this.#lastOfEach(subject, last.sequence - 1);
      if (read.kind === 'unavailable') return read;
      const earlier = read.value.find(({ sequence }) => sequence < (last as LogMessage).sequence);
      // Those that count have ever higher versions.
      if (earlier === undefined || earlier.entry.version < last.entry.version) break;
      hidden.push(earlier);
      last = earlier;
    }
    return { kind: 'read', value: hidden };
  }

  /** The last message of each subject under a filter, up to a sequence, oldest first. */
  async #lastOfEach(filter: string, upTo?: number): Promise<ReadResult<LogMessage[]>> {
    const question = utf8(JSON.stringify({ multi_last: [filter], up_to_seq: upTo }));
    const answer = await this.#requester.requestBatch(`$JS.API.DIRECT.GET.${this.#stream}`, question);
    if (answer.kind !== 'answer') return { kind: 'unavailable', why: answer.why };
    const [first] = answer.messages;
    const status = first?.headers?.code ?? 0;
    if (status !== 0 && status !== NO_MESSAGE) return { kind: 'unavailable', why: `direct get: status ${status}` };
    const found = status === 0 ? answer.messages : [];
    return { kind: 'read', value: found.map((message) => logMessage(fromDirectGet(message))) };
  }

  /** The message at a sequence; undefined if it is gone. */
  async message(sequence: number): Promise<ReadResult<StoredMessage | undefined>> {
    const answer = await this.#requester.request(
      `$JS.API.DIRECT.GET.${this.#stream}`,
      utf8(JSON.stringify({ seq: sequence })),
    );
    const read = directGetResult(answer);
    // Who asks knows of the message; a follower may not have it yet.
    const mayLag = this.#isReplicated() && read.kind === 'read' && read.value === undefined;
    return mayLag ? this.#askLeader({ seq: sequence }) : read;
  }

  /** The commit that set a lease, as the leader has it; undefined if it is gone. */
  leaseCommit(entityId: string, { event, version }: StandingLease): Promise<ReadResult<StoredMessage | undefined>> {
    return this.#lastOn(entitySubject(this.#agent.name, entityId, version, event), true);
  }

  /** The newest message on a subject, or under a filter. */
  async #lastOn(subject: string, authoritative: boolean): Promise<ReadResult<StoredMessage | undefined>> {
    if (authoritative && this.#isReplicated()) return this.#askLeader({ last_by_subj: subject });
    const answer = await this.#requester.request(`$JS.API.DIRECT.GET.${this.#stream}.${subject}`, EMPTY);
    return directGetResult(answer);
  }

  async #askLeader(which: { seq: number } | { last_by_subj: string }): Promise<ReadResult<StoredMessage | undefined>> {
    const request = utf8(JSON.stringify(which));
    const answer = await this.#requester.request(`$JS.API.STREAM.MSG.GET.${this.#stream}`, request);
    if (answer.kind !== 'answer') return { kind: 'unavailable', why: answer.why };
    if (answer.message.data.length === 0) return { kind: 'unavailable', why: 'JetStream does not answer' };
    const response = apiResponse<{ message: ApiMessage }>(answer.message) ?? {};
    if (response.message !== undefined) return { kind: 'read', value: fromMessageGet(response.message) };
    if (response.error?.err_code === MESSAGE_NOT_FOUND) return { kind: 'read', value: undefined };
    return { kind: 'unavailable', why: response.error?.description ?? 'JetStream gave no message and no error' };
  }
}

function directGetResult(answer: Answer): ReadResult<StoredMessage | undefined> {
  if (answer.kind !== 'answer') return { kind: 'unavailable', why: answer.why };
  const { message } = answer;
  const status = message.headers?.code ?? 0;
  if (status === NO_MESSAGE) return { kind: 'read', value: undefined };
  if (status !== 0) {
    return { kind: 'unavailable', why: `direct get: status ${status} ${message.headers?.description ?? ''}`.trim() };
  }
  return { kind: 'read', value: fromDirectGet(message) };
}
