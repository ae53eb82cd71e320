/** All of a history so far, joined: the one index that every invariant looks things up in. */
import type { Logged, Queued, Sent, Told } from '../history.ts';
import { isReaction } from '../reactor/mirroring.ts';
import { lockOf, type CheckedAgent } from './agents.ts';
import { Landmarks } from './landmarks.ts';
import { gapAt, repeatsVersion, type Command, type Entity, type Message } from './records.ts';
import { sameJson } from './same-json.ts';

interface Log {
  readonly agent: CheckedAgent;
  readonly entities: Map<string, Entity>;
  readonly bySequence: Map<number, Message>;
  last: Message | undefined;
}

type Filed = { kind: 'new'; message: Message } | { kind: 'repeated' } | { kind: 'rewritten'; message: Message };

export class Ledger {
  readonly #logs = new Map<string, Log>();
  readonly #commands = new Map<string, Command>();
  /** Messages of commands that are not known to have been sent, by command id. */
  readonly #unclaimed = new Map<string, Message[]>();

  constructor(agents: readonly CheckedAgent[]) {
    for (const agent of agents) {
      this.#logs.set(agent.token, { agent, entities: new Map(), bySequence: new Map(), last: undefined });
    }
  }

  get commands(): Iterable<Command> {
    return this.#commands.values();
  }

  command(commandId: string): Command | undefined {
    return this.#commands.get(commandId);
  }

  get unclaimed(): Iterable<Message> {
    return [...this.#unclaimed.values()].flat();
  }

  /** The last message of an agent's log so far. */
  lastOf(token: string): Message | undefined {
    return this.#log(token).last;
  }

  messageAt(token: string, sequence: number): Message | undefined {
    return this.#log(token).bySequence.get(sequence);
  }

  /** The message of an entity that no longer has this commit before it, because the commit was a lease. */
  rolledUpBy(token: string, entityId: string, event: string, version: number): Message | undefined {
    const { agent, entities } = this.#log(token);
    const entity = agent.leaseEvents.has(event) ? entities.get(entityId) : undefined;
    return entity && gapAt(entity, version);
  }

  /** @returns the command and the commits of it that the log has had already, if it was not known before. */
  sent(sent: Sent): { command: Command; messages: readonly Message[] } | undefined {
    const known = this.#commands.get(sent.commandId);
    if (known !== undefined) {
      if (!sameCommand(known.sent, sent)) {
        throw new RangeError(`command ${sent.commandId} was sent twice with other content: give each its own id`);
      }
      known.askedAgainAtMs = sent.atMs;
      return undefined;
    }
    const entity = this.#entity(sent.agent, sent.entityId);
    const command: Command = {
      sent,
      askedAgainAtMs: sent.atMs,
      entity,
      landmark: entity.landmarks.before(sent.atMs),
      told: [],
      queued: [],
      messages: [],
      single: false,
    };
    this.#commands.set(sent.commandId, command);
    const messages = this.#unclaimed.get(sent.commandId) ?? [];
    this.#unclaimed.delete(sent.commandId);
    for (const message of messages) message.command = command;
    return { command, messages };
  }

  told(told: Told): Command {
    const command = this.#commands.get(told.commandId);
    if (command === undefined) throw new RangeError(`command ${told.commandId} was answered, but never sent`);
    command.single = told.single;
    if (told.answer !== undefined) {
      command.told.push(told);
      const { kind, payload } = told.answer;
      const version = payload[kind === 'conflict' ? 'current_version' : 'entity_version'];
      if (typeof version === 'number' && version > 0) {
        command.entity.landmarks.add({ atMs: told.atMs, version, told });
      }
    }
    return command;
  }

  queued(queued: Queued): void {
    const command = this.#commands.get(queued.commandId);
    if (command?.sent.durable === undefined) {
      throw new RangeError(`command ${queued.commandId} was ${queued.as}, but never sent to be stored`);
    }
    command.queued.push(queued);
  }

  logged(entry: Logged): Filed {
    const log = this.#log(entry.agent);
    const { last } = log;
    if (last !== undefined && entry.sequence <= last.entry.sequence) {
      const known = log.bySequence.get(entry.sequence);
      return known !== undefined && sameJson(known.entry, entry)
        ? { kind: 'repeated' }
        : { kind: 'rewritten', message: known ?? last };
    }
    const message = this.#file(entry);
    log.bySequence.set(entry.sequence, message);
    log.last = message;
    return { kind: 'new', message };
  }

  #file(entry: Logged): Message {
    const entity = this.#entity(entry.agent, entry.entityId);
    const { agent, messages, gaps } = entity;
    const before = messages.at(-1);
    const highest = before?.version ?? 0;
    const { byServer, state, version } = entry;
    const isOld = byServer && version < highest;
    // The server takes out whatever stands under the subject of the schedule.
    const wiped = isOld && before !== undefined && isRefreshOf(before.entry, entry) ? before : undefined;
    const isStray = isOld && wiped === undefined;
    const expire = agent.agent.lease?.expire;
    const expected = repeatsVersion(entry) ? highest : highest + 1;
    const isAsked = !byServer && !isReaction(entry) && agent.ownCommand(entry, before?.notes ?? '') === undefined;
    const message: Message = {
      entry,
      entity,
      before,
      index: messages.length,
      timeMs: Date.parse(entry.time),
      version: isStray ? highest : version,
      state:
        isStray || (before !== undefined && repeatsEnded(entry, before.entry))
          ? (before?.state ?? null)
          : byServer && state !== null && expire
            ? expire(state)
            : state,
      notes: byServer ? notesAfterExpiry(entry, wiped === undefined ? before : wiped.before) : (entry.notes ?? ''),
      missing: Math.max(0, version - expected),
      wiped,
      wipedBy: undefined,
      command: isAsked ? this.#commands.get(entry.commandId) : undefined,
    };
    if (wiped !== undefined) wiped.wipedBy = message;
    messages.push(message);
    if (message.missing > 0) gaps.push(message);
    if (isAsked && message.command === undefined) {
      this.#unclaimed.set(entry.commandId, [...(this.#unclaimed.get(entry.commandId) ?? []), message]);
    }
    return message;
  }

  #log(token: string): Log {
    const log = this.#logs.get(token);
    if (log === undefined) throw new RangeError(`the checker knows no agent ${token}: add it to CHECKED_AGENTS`);
    return log;
  }

  #entity(token: string, id: string): Entity {
    const { agent, entities } = this.#log(token);
    let entity = entities.get(id);
    if (entity === undefined) {
      entity = { agent, id, messages: [], gaps: [], landmarks: new Landmarks() };
      entities.set(id, entity);
    }
    return entity;
  }
}

function sameCommand(one: Sent, other: Sent): boolean {
  const { agent, action, entityId, expectedVersion, lease, data } = other;
  return (
    one.agent === agent &&
    one.action === action &&
    one.entityId === entityId &&
    one.expectedVersion === expectedVersion &&
    sameJson(one.lease, lease) &&
    sameJson(one.data, data)
  );
}

/** The newest commit that is left is the truth; where there is none, the expiry has a copy of what it ended. */
function notesAfterExpiry({ notes = '', version }: Logged, newest: Message | undefined): string {
  return newest !== undefined && newest.version >= version ? newest.notes : notes;
}

/**
 * Whether what changes nothing but the notes was decided before the end of the lease that came directly before it, and so
 * says that it stands: the leader of a replicated stream does not hold a commit against an expiry that is not stored yet.
 */
export function repeatsEnded({ aside, state, version }: Logged, before: Logged): boolean {
  return aside !== undefined && before.byServer && before.version === version && sameJson(before.state, state);
}

/** Whether a commit has moved the end of the very lease that an expiry is of, and nothing else tells of it. */
function isRefreshOf(entry: Logged, expiry: Logged): boolean {
  const token = lockOf(expiry.agent, expiry.state)?.fencing_token;
  const lock = repeatsVersion(entry) ? undefined : lockOf(entry.agent, entry.state);
  return lock !== undefined && lock.owner_id !== null && lock.fencing_token === token;
}
