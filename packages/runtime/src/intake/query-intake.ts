/** From a message on `qry.<agent>.<kind>` to its answer. Queries change nothing and are told to nobody else. */
import {
  decode,
  encode,
  GetQuery,
  HEADERS,
  HistoryQuery,
  ID_HEADER_VALUE,
  LIMITS,
  ListQuery,
  OutcomeQuery,
  printable,
  statusOfCode,
  type Decoded,
  type Issue,
  type JsonObject,
  type QueryKind,
  type RejectedPayload,
} from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import type { AnyAgent } from '../core/agent.ts';
import type { SeenEntity } from '../core/companion.ts';
import type { Entity } from '../core/entity.ts';
import type { EntityReader, ReadResult } from '../nats/entity-reader.ts';
import type { RequestPort } from '../nats/requester.ts';
import { commandOutcome } from '../store/command-outcome.ts';
import { entityHistory } from '../store/entity-history.ts';
import { listEntities, type ListSubjects } from '../store/entity-list.ts';
import { headersOf } from './command-headers.ts';
import { answerable, withError, type Voice } from './reply.ts';

export interface QueryIntakeOptions {
  agent: AnyAgent;
  reader: EntityReader;
  requester: RequestPort;
  subjects: ListSubjects;
  voice: Voice;
  /** Queries answered at once; more are answered `unavailable`. */
  maxInFlight: number;
  inboxPrefix: string;
  maxPayload: () => number;
  /** What is told of an entity beside its state. */
  view?: ((entityId: string, entity: SeenEntity, query: 'get' | 'list') => JsonObject) | undefined;
  onFault: (error: unknown) => void;
}

/** A result, or why there is none. */
type Answered =
  | { ok: true; result: unknown }
  | { ok: false; entityId: string | null; code: string; reason: string; issues?: Issue[] };

export class QueryIntake {
  readonly #options: QueryIntakeOptions;
  readonly #inFlight = new Set<Promise<void>>();

  constructor(options: QueryIntakeOptions) {
    this.#options = options;
  }

  async drained(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  /**
   * Never throws, see the intake of commands.
   * @param kind last token of the message's subject
   */
  handle(kind: string, message: Msg): void {
    try {
      this.#take(kind, message);
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  #take(kind: string, message: Msg): void {
    // Nothing happens for a query that cannot be answered.
    if (answerable(message, this.#options.inboxPrefix) !== 'yes') return;
    if (this.#inFlight.size >= this.#options.maxInFlight) {
      const reason = `${this.#inFlight.size} queries are in flight, the most this agent takes: try again in 100 ms`;
      this.#answer(kind, message, { ok: false, entityId: null, code: 'unavailable', reason });
      return;
    }
    const work: Promise<void> = this.#read(kind, message.data)
      .catch((error: unknown): Answered => {
        this.#options.onFault(error);
        return { ok: false, entityId: null, code: 'unavailable', reason: 'the query failed: try again in a second' };
      })
      .then((answered) => this.#answer(kind, message, answered))
      .catch(this.#options.onFault)
      .finally(() => this.#inFlight.delete(work));
    this.#inFlight.add(work);
  }

  #read(kind: string, data: Uint8Array): Promise<Answered> {
    switch (kind as QueryKind) {
      case 'get':
        return this.#checked(decode(GetQuery, data), (query) => this.#get(query));
      case 'history':
        return this.#checked(decode(HistoryQuery, data), (query) => this.#history(query));
      case 'list':
        return this.#checked(decode(ListQuery, data), (query) => this.#list(query));
      case 'outcome':
        return this.#checked(decode(OutcomeQuery, data), (query) => this.#outcome(query));
      default: {
        const reason = 'unknown query: expected get, history, list or outcome';
        return Promise.resolve({ ok: false, entityId: null, code: 'unknown_action', reason });
      }
    }
  }

  async #checked<Q>(query: Decoded<Q>, run: (query: Q) => Promise<Answered>): Promise<Answered> {
    return query.ok ? run(query.value) : { ...query, entityId: null };
  }

  async #get({ entity_id: id, min_version: minVersion = 0 }: GetQuery): Promise<Answered> {
    const { reader, view } = this.#options;
    let read: ReadResult<Entity> = await reader.entity(id, false);
    if (read.kind === 'read' && read.value.version < minVersion) read = await reader.entity(id, true);
    if (read.kind === 'unavailable') return unavailable(id, read.why);
    const { state, version } = read.value;
    if (version < minVersion) {
      const reason = `the entity is at version ${version}, below the min_version ${minVersion} that was asked for`;
      return version === 0 ? notFound(id) : { ok: false, entityId: id, code: 'unavailable', reason };
    }
    if (state === null) return notFound(id);
    return { ok: true, result: { entity_id: id, entity_version: version, state, ...view?.(id, read.value, 'get') } };
  }

  async #history({ entity_id: id, limit, before_version: before }: HistoryQuery): Promise<Answered> {
    const { agent, reader } = this.#options;
    const read = await entityHistory(agent, reader, id, limit, before ?? Number.POSITIVE_INFINITY);
    if (read.kind === 'unavailable') return unavailable(id, read.why);
    return read.value === undefined ? notFound(id) : { ok: true, result: { events: read.value } };
  }

  async #list(query: ListQuery): Promise<Answered> {
    const { agent, reader, subjects, maxPayload, view } = this.#options;
    // Half: a state grows a little as it is wrapped into the answer.
    const read = await listEntities(agent, reader, subjects, query, maxPayload() / 2, view);
    return read.kind === 'unavailable' ? unavailable(null, read.why) : { ok: true, result: read.value };
  }

  async #outcome({ command_id: commandId, entity_id: id }: OutcomeQuery): Promise<Answered> {
    const read = await commandOutcome(this.#options, id, commandId);
    return read.kind === 'unavailable' ? unavailable(id, read.why) : { ok: true, result: read.value };
  }

  #answer(kind: string, message: Msg, answered: Answered): void {
    const { voice, maxPayload } = this.#options;
    const headers = headersOf(message);
    const id = headers === 'unreadable' ? '' : (headers?.get(HEADERS.correlationId) ?? '');
    const lines = ID_HEADER_VALUE.test(id) ? ([[HEADERS.correlationId, id]] as const) : [];
    if (answered.ok) {
      const body = encode(answered.result);
      if (body.length <= maxPayload()) {
        voice.answer(message.reply as string, new TextDecoder().decode(body), lines);
        return;
      }
      const reason = `the answer has ${body.length} bytes, more than the server takes: ask with a smaller limit`;
      this.#answer(kind, message, { ok: false, entityId: null, code: 'too_large', reason });
      return;
    }
    const { entityId, code, reason, issues = [] } = answered;
    const action = printable(kind, LIMITS.nameCharacters);
    const payload: RejectedPayload = { entity_id: entityId, action, code, reason };
    if (issues.length > 0) payload.issues = issues.slice(0, LIMITS.issues);
    const body = JSON.stringify({ event: voice.subject('rejected'), payload });
    voice.answer(message.reply as string, body, withError(lines, { status: statusOfCode(code), reason }));
  }
}

function notFound(entityId: string): Answered {
  return { ok: false, entityId, code: 'not_found', reason: 'there is no such entity' };
}

function unavailable(entityId: string | null, why: string): Answered {
  return { ok: false, entityId, code: 'unavailable', reason: `the entity store does not answer: ${why}` };
}
