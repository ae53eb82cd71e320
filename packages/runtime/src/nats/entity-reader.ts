import { entityFilter, entityStream, entitySubject } from '@meshforge/protocol';
import type { AnyAgent } from '../core/agent.ts';
import {
  afterExpiry,
  endLease,
  entityOf,
  isNewer,
  NO_ENTITY,
  type Entity,
  type LogMessage,
  type StandingLease,
} from '../core/entity.ts';
import { apiResponse, MESSAGE_NOT_FOUND } from './jetstream-errors.ts';
import type { Answer, RequestPort } from './requester.ts';
import { fromDirectGet, fromMessageGet, logMessage, type ApiMessage, type StoredMessage } from './stored-message.ts';
import { utf8 } from './utf8.ts';

/** What a read found. `unavailable`: nobody answered; the read may be tried again. */
export type ReadResult<T> = { kind: 'read'; value: T } | { kind: 'unavailable'; why: string };

const EMPTY = new Uint8Array();
/** A lease that ends within so many milliseconds may have ended: by so much the server's time is not known. */
const CLOCK_ERROR_MS = 2_000;

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
  readonly #replicated: boolean;
  readonly #serverNow: () => number;
  /** Events under which an ordinary commit can stand. */
  readonly #commitEvents: readonly string[];

  /** @param serverNow milliseconds since the epoch, by the server's clock; without it every lease may have ended */
  constructor(
    agent: AnyAgent,
    requester: RequestPort,
    replicas: number,
    serverNow: () => number = () => Number.POSITIVE_INFINITY,
  ) {
    this.#serverNow = serverNow;
    this.#agent = agent;
    this.#requester = requester;
    this.#stream = entityStream(agent.name);
    this.#replicated = replicas > 1;
    this.#commitEvents = [...new Set(Object.values(agent.actions).map((action) => action.event))];
  }

  /** Whether any read is as good as one from the leader. */
  get alwaysAuthoritative(): boolean {
    return !this.#replicated;
  }

  /** The entity as its last message says; unavailable too where that is none that an agent wrote. */
  async entity(entityId: string, authoritative: boolean): Promise<ReadResult<Entity>> {
    try {
      return await this.#entity(entityId, authoritative);
    } catch {
      return { kind: 'unavailable', why: 'its log holds a message that no agent wrote' };
    }
  }

  async #entity(entityId: string, authoritative: boolean): Promise<ReadResult<Entity>> {
    const last = await this.#last(entityFilter(this.#agent.name, entityId), authoritative);
    if (last.kind === 'unavailable') return last;
    if (last.value === undefined) return { kind: 'read', value: NO_ENTITY };
    const message = logMessage(this.#agent, last.value);
    const entity = entityOf(this.#agent, message);
    if (message.expiredEvent !== undefined) return this.#afterExpiry(entityId, entity);
    const { keptLease } = message;
    const mayHaveEnded = keptLease !== undefined && keptLease.endsAt - CLOCK_ERROR_MS <= this.#serverNow();
    return mayHaveEnded ? this.#afterAside(entityId, entity, keptLease) : { kind: 'read', value: entity };
  }

  /** The newest message of an entity; undefined if it never had one. */
  lastMessage(entityId: string): Promise<ReadResult<StoredMessage | undefined>> {
    return this.#last(entityFilter(this.#agent.name, entityId), false);
  }

  /** The message at a sequence; undefined if it is gone. */
  async message(sequence: number): Promise<ReadResult<StoredMessage | undefined>> {
    const answer = await this.#requester.request(
      `$JS.API.DIRECT.GET.${this.#stream}`,
      utf8(JSON.stringify({ seq: sequence })),
    );
    const read = directGetResult(answer);
    // Who asks knows of the commit; a follower may not have it yet.
    const mayLag = this.#replicated && read.kind === 'read' && read.value === undefined;
    return mayLag ? this.#askLeader({ seq: sequence }) : read;
  }

  /** The message at a sequence as a log message. */
  toLogMessage(stored: StoredMessage): LogMessage {
    return logMessage(this.#agent, stored);
  }

  /**
   * A replicated stream can take in what left a lease alone behind the end of that lease, for its leader does not hold a
   * commit against an expiry that is not stored yet: it says that the lease stands, and the log has ended it.
   */
  async #afterAside(entityId: string, entity: Entity, kept: StandingLease): Promise<ReadResult<Entity>> {
    const { name, lease } = this.#agent;
    if (lease === undefined) return { kind: 'read', value: entity };
    const read = await this.#last(entitySubject(name, entityId, lease.expiryEvent), true);
    if (read.kind === 'unavailable') return read;
    const ended = read.value === undefined ? undefined : logMessage(this.#agent, read.value).body.entity_version;
    return { kind: 'read', value: ended === kept.version ? endLease(this.#agent, entity) : entity };
  }

  /**
   * The server writes an expiry without a compare-and-set, so it can land behind a commit that ended the lease in the same
   * milliseconds, and it knows nothing of commits that left the lease as it was. They are asked of the leader: a follower may
   * not have them yet, and the expiry's sequence would let a decision without them commit.
   */
  async #afterExpiry(entityId: string, expired: Entity): Promise<ReadResult<Entity>> {
    const reads = await Promise.all(
      this.#commitEvents.map((event) => this.#last(entitySubject(this.#agent.name, entityId, event), true)),
    );
    let newest = NO_ENTITY;
    for (const read of reads) {
      if (read.kind === 'unavailable') return read;
      if (read.value === undefined) continue;
      const committed = entityOf(this.#agent, logMessage(this.#agent, read.value));
      if (isNewer(committed, newest)) newest = committed;
    }
    return { kind: 'read', value: afterExpiry(this.#agent, expired, newest) };
  }

  async #last(subject: string, authoritative: boolean): Promise<ReadResult<StoredMessage | undefined>> {
    if (authoritative && this.#replicated) return this.#askLeader({ last_by_subj: subject });
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
  if (status === 404) return { kind: 'read', value: undefined };
  if (status !== 0) {
    return { kind: 'unavailable', why: `direct get: status ${status} ${message.headers?.description ?? ''}`.trim() };
  }
  return { kind: 'read', value: fromDirectGet(message) };
}
