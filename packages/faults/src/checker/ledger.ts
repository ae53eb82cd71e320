/** All of a history so far, joined: the one index that every invariant looks things up in. */
import type { JsonObject } from '@meshforge/protocol';
import type { Logged, Queued, Sent, Taken, Told } from '../history.ts';
import { isReaction } from '../reactor/mirroring.ts';
import type { CheckedAgent } from './agents.ts';
import { Landmarks } from './landmarks.ts';
import { gapAt, keepsWhatEnded, repeatsVersion, type Command, type Entity, type Message } from './records.ts';
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
      isLost: false,
      isOld: false,
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
    if (command.isOld) return command;
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
    if (!command.isOld) command.queued.push(queued);
  }

  /** @returns what is left of a log that has lost its tail, to be filed again */
  taken({ agent, entityId = '', sequence = 0, what }: Taken): readonly Logged[] {
    switch (what) {
      case 'queue':
        for (const command of this.#commands.values()) if (command.sent.agent === agent) command.isLost = true;
        return [];
      case 'entity':
        this.#entity(agent, entityId).mayBeginAnew = true;
        return [];
      case 'tail': {
        const log = this.#log(agent);
        const isLeft = ({ entity, entry }: Message): boolean => !entity.isOver && entry.sequence <= sequence;
        const left = [...log.bySequence.values()].filter(isLeft);
        log.bySequence.clear();
        log.last = undefined;
        this.#beginAnew([...log.entities.values()]);
        for (const [commandId, [message]] of this.#unclaimed) {
          if (message?.entry.agent === agent) this.#unclaimed.delete(commandId);
        }
        return left.map(({ entry }) => entry);
      }
    }
  }

  /** From now on the names of these entities are those of others, which have no messages yet. */
  #beginAnew(over: readonly Entity[]): void {
    for (const entity of over) {
      entity.isOver = true;
      this.#log(entity.agent.token).entities.delete(entity.id);
    }
    for (const [commandId, command] of this.#commands) {
      if (!command.entity.isOver) continue;
      const entity = this.#entity(command.sent.agent, command.sent.entityId);
      const nothing = { landmark: undefined, told: [], queued: [], messages: [], single: false };
      this.#commands.set(commandId, { ...command, ...nothing, entity, isOld: true });
    }
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
    const entity = this.#entityOf(entry);
    const { agent, messages, gaps } = entity;
    const before = messages.at(-1);
    const { kind, notes = '', version } = entry;
    const highest = before?.version ?? 0;
    const isExpiry = kind === 'expiry';
    const isVoid = isExpiry && version < highest;
    const ended = isExpiry && !isVoid ? version : (before?.ended ?? 0);
    const isOver = isExpiry || keepsWhatEnded(entry, ended);
    const isAsked = isAskedFor(entry, agent, before);
    const message: Message = {
      entry,
      entity,
      before,
      index: messages.length,
      timeMs: Date.parse(entry.time),
      version: isVoid ? highest : version,
      state: isVoid ? (before?.state ?? null) : isOver ? afterLease(agent, entry) : entry.state,
      // An expiry has a copy of older ones.
      notes: isExpiry && before !== undefined && highest >= version ? before.notes : notes,
      mark: (isExpiry ? before?.mark : undefined) ?? entry.mark ?? 0,
      missing: Math.max(0, version - highest - (repeatsVersion(entry) ? 0 : 1)),
      isVoid,
      ended,
      command: isAsked ? this.#commands.get(entry.commandId) : undefined,
    };
    messages.push(message);
    if (message.missing > 0) gaps.push(message);
    if (isAsked && message.command === undefined) {
      this.#unclaimed.set(entry.commandId, [...(this.#unclaimed.get(entry.commandId) ?? []), message]);
    }
    return message;
  }

  /** The entity whose log has this; a new one where its versions begin anew, as they may. */
  #entityOf(entry: Logged): Entity {
    const entity = this.#entity(entry.agent, entry.entityId);
    const highest = entity.messages.at(-1)?.version ?? 0;
    const goesBack = entry.kind === 'commit' ? entry.version <= highest : entry.version < highest;
    if (!entity.mayBeginAnew || !goesBack || entry.kind === 'expiry') return entity;
    this.#beginAnew([entity]);
    return this.#entity(entry.agent, entry.entityId);
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
      entity = { agent, id, messages: [], gaps: [], landmarks: new Landmarks(), mayBeginAnew: false, isOver: false };
      entities.set(id, entity);
    }
    return entity;
  }
}

function sameCommand(one: Sent, other: Sent): boolean {
  const content = ({ atMs: _atMs, client: _client, durable: _durable, ...rest }: Sent): object => rest;
  return sameJson(content(one), content(other));
}

/** Whether a client has asked for it: neither the server, nor a reaction, nor the agent itself. */
function isAskedFor(entry: Logged, agent: CheckedAgent, before: Message | undefined): boolean {
  if (entry.kind === 'expiry' || isReaction(entry)) return false;
  if (entry.kind === 'record') return entry.refusal !== undefined;
  return agent.ownCommand(entry, before?.notes ?? '') === undefined;
}

function afterLease({ agent }: CheckedAgent, { state }: Logged): JsonObject | null {
  return state === null || agent.lease === undefined ? state : (agent.lease.expire(state) as JsonObject | null);
}
