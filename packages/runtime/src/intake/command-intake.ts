/**
 * From a message on `cmd.<agent>.<action>` to its answer. Every command gets exactly one if it gave an inbox, whatever
 * it holds (I8); a refused one is also told to all as a signal.
 */
import {
  check,
  CommandBody,
  commandsOf,
  decodeJson,
  EntityId,
  HEADERS,
  LIMITS,
  printable,
  type Issue,
  type JsonObject,
  type RejectedPayload,
} from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import type { AnyAgent } from '../core/agent.ts';
import type { Companion } from '../core/companion.ts';
import type { Command, CommandHeaders } from '../core/decide.ts';
import { bodyDigest, digestOf } from '../nats/digest.ts';
import type { QueuePlace } from '../core/entity.ts';
import type { EntityStore } from '../store/entity-store.ts';
import { refusal, type StoreOutcome } from '../core/outcome.ts';
import { startCommandSpan, type CommandSpan } from '../telemetry/command-span.ts';
import { headersOf, readCommandHeaders, type ReadHeaders } from './command-headers.ts';
import { answerable, type Told, type Voice } from './reply.ts';
import type { CommandStats } from './stats.ts';

export interface CommandIntakeOptions {
  agent: AnyAgent;
  store: EntityStore;
  voice: Voice;
  stats: CommandStats;
  /** Commands decided at once; more are answered `unavailable`. */
  maxInFlight: number;
  inboxPrefix: string;
  /** Whether a command that was refused will be answered later. */
  defers?: Companion['defers'] | undefined;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow: () => number;
  onFault: (error: unknown) => void;
}

/** A durable command's place in the queue, and the entity that its subject names. */
interface Queued extends QueuePlace {
  entityId: string;
}

/** After how long a caller who met a full agent may try again, in milliseconds. */
const RETRY_HINT_MS = 100;

export class CommandIntake {
  readonly #options: CommandIntakeOptions;
  readonly #inFlight = new Set<Promise<unknown>>();

  constructor(options: CommandIntakeOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Resolves when every command taken in so far has its answer. */
  async drained(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  /**
   * Never throws: the connection would stop to read, and the micro services module would answer to any subject.
   * @param action last token of the message's subject
   */
  handle(action: string, message: Msg): void {
    try {
      this.#take(action, message);
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  /** Decides a command of this very process on the same path as one that came over NATS. Never rejects. */
  async execute(action: string, bytes: Uint8Array, read: ReadHeaders): Promise<StoreOutcome> {
    const started = performance.now();
    const span = startCommandSpan(this.#options.agent, action, read, 'process');
    const headers = span?.headers ?? read;
    const decide = async (): Promise<StoreOutcome> => {
      const outcome = await this.#admit(action, bytes, headers);
      this.#tell(action, headers.lines, outcome, started, span);
      return outcome;
    };
    const work = decide();
    this.#inFlight.add(work);
    return await work.finally(() => this.#inFlight.delete(work));
  }

  /**
   * Decides a durable command on the same path; tells nobody. Its queue bounds how many come at once. Never rejects.
   */
  async decideQueued(action: string, bytes: Uint8Array, read: ReadHeaders, queued: Queued): Promise<StoreOutcome> {
    // Each try is a span.
    const span = startCommandSpan(this.#options.agent, action, read, 'queue');
    const headers = span?.headers ?? read;
    const decide = async (): Promise<StoreOutcome> => {
      const outcome = await this.#decide(action, bytes, headers, { queued });
      span?.end(outcome);
      return outcome;
    };
    const work = decide();
    this.#inFlight.add(work);
    return await work.finally(() => this.#inFlight.delete(work));
  }

  /** Tells of a durable command what became of it: everybody, and whoever waits at an inbox. */
  concludeQueued(
    action: string,
    headers: ReadHeaders,
    outcome: StoreOutcome,
    { inbox, started }: { inbox: string; started: number },
  ): void {
    const { inboxPrefix, voice } = this.#options;
    this.#tell(action, headers.lines, outcome, started);
    if (!isTold(outcome) || answerable({ reply: inbox }, inboxPrefix) !== 'yes') return;
    const answer = voice.answerTo(outcome, this.#withTime(headers.lines));
    voice.answer(inbox, answer.body, answer.lines);
  }

  #take(action: string, message: Msg): void {
    const started = performance.now();
    const read = readCommandHeaders(headersOf(message));
    const span = startCommandSpan(this.#options.agent, action, read, 'nats');
    const headers = span?.headers ?? read;
    const isForged = answerable(message, this.#options.inboxPrefix) === 'forged';
    const decided = isForged ? this.#refuseForged(action) : this.#admit(action, message.data, headers, message);
    if (!(decided instanceof Promise)) {
      this.#conclude(action, message, headers.lines, decided, started, span);
      return;
    }
    const work: Promise<void> = decided
      .then((outcome) => this.#conclude(action, message, headers.lines, outcome, started, span))
      .catch(this.#options.onFault)
      .finally(() => this.#inFlight.delete(work));
    this.#inFlight.add(work);
  }

  #refuseForged(action: string): StoreOutcome {
    const { inboxPrefix } = this.#options;
    const reason = `the reply subject is not an inbox: expected ${inboxPrefix}… in printable ASCII without wildcards`;
    return malformed(action, null, { code: 'invalid_command', reason });
  }

  /** @param message as which it came over the wire, where the agent's own actions are unknown; none = from this process */
  #admit(action: string, bytes: Uint8Array, headers: ReadHeaders, message?: Msg): StoreOutcome | Promise<StoreOutcome> {
    const { maxInFlight } = this.#options;
    if (this.#inFlight.size >= maxInFlight) {
      const reason = `${maxInFlight} commands are in flight, the most this agent takes: try again in ${RETRY_HINT_MS} ms`;
      return malformed(action, null, { code: 'unavailable', reason });
    }
    return this.#decide(action, bytes, headers, message === undefined ? 'own' : { reply: message.reply });
  }

  /** @param origin where it comes from: this very process, or somewhere else, where the agent's own actions are unknown */
  #decide(
    action: string,
    bytes: Uint8Array,
    headers: ReadHeaders,
    origin: 'own' | { reply?: string | undefined; queued?: Queued },
  ): StoreOutcome | Promise<StoreOutcome> {
    const { agent, defers, serverNow, store } = this.#options;
    const definition = Object.hasOwn(agent.actions, action) ? agent.actions[action] : undefined;
    const queued = origin === 'own' ? undefined : origin.queued;
    const isHidden =
      (origin !== 'own' && definition?.internal === true) || (queued !== undefined && definition?.requestOnly === true);
    if (definition === undefined || isHidden) {
      const known = commandsOf(agent.actions)
        .map(([name]) => name)
        .join(', ');
      const reason = `unknown action: expected one of ${known}`;
      return malformed(action, null, { code: 'unknown_action', reason });
    }
    const json = decodeJson(bytes);
    if (!json.ok) return malformed(action, null, json);
    const entityId = entityIdOf(json.value);
    if (headers.issues.length > 0) {
      const reason = headers.issues.map(({ path, message: text }) => `header ${path}: ${text}`).join('; ');
      return malformed(action, entityId, { code: 'invalid_command', reason, issues: headers.issues });
    }
    const body = check(CommandBody, json.value);
    if (!body.ok) return malformed(action, entityId, body);
    if (queued !== undefined && body.value.entity_id !== queued.entityId) {
      const named = JSON.stringify(printable(body.value.entity_id, LIMITS.nameCharacters));
      const reason = `the body names the entity ${named}, the subject another one`;
      return malformed(action, queued.entityId, { code: 'invalid_command', reason });
    }
    const data = check(definition.data, body.value.data ?? {}, 'data');
    if (!data.ok) return malformed(action, entityId, data);
    const { lease } = body.value;
    const command: Command = {
      entityId: body.value.entity_id,
      action,
      expectedVersion: body.value.expected_version,
      lease: lease && { resource: lease.resource, fencingToken: lease.fencing_token },
      data: data.value as JsonObject,
      commandId: headers.commandId,
      digest: digestOf(headers.commandId),
      // As it was sent: the schema may have other defaults when it is sent again.
      bodyDigest: bodyDigest([action, body.value.data ?? {}]),
      headers: headers.lines,
      notAfter: headers.notAfter,
      queued,
    };
    const since = serverNow();
    // Without an inbox there is nobody to answer later.
    const { reply = '' } = origin === 'own' ? {} : origin;
    if (defers === undefined || reply === '') return store.execute(command);
    const refused = { ...command, reply, since };
    const decided = store.execute(command, (code, entity) => defers(refused, code, entity));
    return decided.then((outcome) =>
      outcome.kind === 'denied' && defers(refused, outcome.code) ? { kind: 'deferred' } : outcome,
    );
  }

  /** Clients learn the server's time from replies. */
  #withTime(lines: CommandHeaders): CommandHeaders {
    return [...lines, [HEADERS.serverTime, new Date(this.#options.serverNow()).toISOString()]];
  }

  /** Counts it, and tells everybody of a refusal; the event of a commit is emitted by the server itself. */
  #tell(action: string, lines: CommandHeaders, outcome: StoreOutcome, started: number, span?: CommandSpan): void {
    const { stats, voice } = this.#options;
    span?.end(outcome);
    stats.count(action, outcome.kind, performance.now() - started);
    if (isTold(outcome) && 'code' in outcome && outcome.kind !== 'decided_before')
      voice.signal(outcome.event, outcome.payload, lines);
  }

  #conclude(
    action: string,
    message: Msg,
    lines: CommandHeaders,
    outcome: StoreOutcome,
    started: number,
    span: CommandSpan | undefined,
  ): void {
    const { inboxPrefix, voice } = this.#options;
    this.#tell(action, lines, outcome, started, span);
    if (!isTold(outcome) || answerable(message, inboxPrefix) !== 'yes') return;
    const answer = voice.answerTo(outcome, this.#withTime(lines));
    voice.answer(message.reply as string, answer.body, answer.lines);
  }
}

function isTold(outcome: StoreOutcome): outcome is Told {
  return outcome.kind !== 'abandoned' && outcome.kind !== 'deferred';
}

function malformed(
  action: string,
  entityId: string | null,
  what: { code: string; reason: string; issues?: Issue[] },
): StoreOutcome {
  const { code, reason, issues } = what;
  // The action can be any text that fits into a subject.
  const payload: RejectedPayload = {
    entity_id: entityId,
    action: printable(action, LIMITS.nameCharacters),
    code,
    reason,
  };
  if (issues !== undefined && issues.length > 0) payload.issues = issues;
  return refusal(code === 'unavailable' ? 'unavailable' : 'rejected', payload);
}

/** The entity that even a malformed command names. */
function entityIdOf(value: unknown): string | null {
  const id = typeof value === 'object' && value !== null ? (value as { entity_id?: unknown }).entity_id : undefined;
  return EntityId.safeParse(id).success ? (id as string) : null;
}
