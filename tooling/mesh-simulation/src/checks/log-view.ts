/** The logs of a history, read as the wire's page describes them. */
import { HEADERS, parseSubject, type Slot } from '@meshforge/protocol';
import type { AgentName } from '../agents.ts';
import type { HistoryRecord, Stored } from '../records.ts';

/** A message of an entity's log. */
export interface LogMessage {
  agent: AgentName;
  entity: string;
  /**
   * `unchanged`: it repeats the version; `expiry`: of a lease, and it may be void; `record`: a durable command was refused, or
   * the mark was moved.
   */
  kind: 'commit' | 'unchanged' | 'expiry' | 'record';
  slot: Slot | undefined;
  event: string;
  version: number;
  state: unknown;
  data: Record<string, unknown>;
  /** Empty where no command led to it. */
  commandId: string;
  causationId: string;
  at: number;
  stored: Stored;
}

/** A durable command that was stored. */
export interface QueuedCommand {
  agent: AgentName;
  entity: string;
  action: string;
  commandId: string;
  sequence: number;
  at: number;
  /** Subject of the schedule that it came from; empty if it was not delayed. */
  scheduler: string;
  /** It is itself a schedule: the server may take it away. */
  isSchedule: boolean;
}

export interface DeadLetter {
  agent: string;
  commandId: string;
  code: string;
  /** Of the message that died. */
  sequence: number;
  subject: string;
  at: number;
}

export interface Logs {
  /** By agent and entity, each in the order in which it was stored. */
  readonly entities: readonly { agent: AgentName; entity: string; messages: readonly LogMessage[] }[];
  readonly commits: ReadonlyMap<string, readonly LogMessage[]>;
  /** Events that repeat a version, by the command that led to them. */
  readonly unchanged: ReadonlyMap<string, readonly LogMessage[]>;
  readonly records: ReadonlyMap<string, readonly LogMessage[]>;
  readonly queued: readonly QueuedCommand[];
  readonly letters: readonly DeadLetter[];
}

const AGENTS: readonly AgentName[] = ['stock', 'journal', 'lock'];

export function readLogs({ stored }: HistoryRecord): Logs {
  const entities = AGENTS.flatMap((agent) => entitiesOf(agent, stored.get(`ENTITIES_${agent}`) ?? []));
  const commits = new Map<string, LogMessage[]>();
  const unchanged = new Map<string, LogMessage[]>();
  const records = new Map<string, LogMessage[]>();
  for (const { messages } of entities) {
    for (const message of messages) {
      if (message.commandId === '') continue;
      if (message.kind === 'commit') add(commits, message);
      if (message.kind === 'unchanged') add(unchanged, message);
      if (message.kind === 'record') add(records, message);
    }
  }
  const queued = AGENTS.flatMap((agent) => queuedOf(agent, stored.get(`COMMANDS_${agent}`) ?? []));
  return { entities, commits, unchanged, records, queued, letters: lettersOf(stored.get('DEAD_LETTERS') ?? []) };
}

function add(map: Map<string, LogMessage[]>, message: LogMessage): void {
  map.set(message.commandId, [...(map.get(message.commandId) ?? []), message]);
}

function entitiesOf(agent: AgentName, all: readonly Stored[]): Logs['entities'] {
  const byEntity = new Map<string, LogMessage[]>();
  for (const stored of all) {
    const parsed = parseSubject(stored.subject);
    if (parsed?.kind !== 'entity' && parsed?.kind !== 'record') continue;
    const body = (stored.body ?? {}) as { entity_version?: number; state?: unknown; data?: Record<string, unknown> };
    const isExpiry = parsed.kind === 'entity' && parsed.slot === 'x';
    const isUnchanged = stored.headers.get(HEADERS.unchanged) === 'true';
    const message: LogMessage = {
      agent,
      entity: parsed.entityId,
      kind: parsed.kind === 'record' ? 'record' : isExpiry ? 'expiry' : isUnchanged ? 'unchanged' : 'commit',
      slot: parsed.kind === 'entity' ? parsed.slot : undefined,
      event: parsed.kind === 'entity' ? parsed.event : '',
      version: body.entity_version ?? 0,
      state: body.state,
      data: body.data ?? {},
      // The server copies the headers of the lease into its expiry.
      commandId: isExpiry ? '' : (stored.headers.get(HEADERS.commandId) ?? ''),
      causationId: stored.headers.get(HEADERS.causationId) ?? '',
      at: stored.at,
      stored,
    };
    byEntity.set(message.entity, [...(byEntity.get(message.entity) ?? []), message]);
  }
  return [...byEntity].map(([entity, messages]) => ({ agent, entity, messages }));
}

function queuedOf(agent: AgentName, all: readonly Stored[]): QueuedCommand[] {
  return all.flatMap(({ at, headers, sequence, subject }) => {
    const parsed = parseSubject(subject);
    if (parsed?.kind !== 'queued') return [];
    const { action, entityId: entity } = parsed;
    const commandId = headers.get(HEADERS.commandId) ?? '';
    const scheduler = headers.get('Nats-Scheduler') ?? '';
    const isSchedule = headers.has('Nats-Schedule');
    return [{ agent, entity, action, commandId, sequence, at, scheduler, isSchedule }];
  });
}

function lettersOf(all: readonly Stored[]): DeadLetter[] {
  return all.map(({ at, headers, subject: place }) => {
    const letter = JSON.parse(headers.get(HEADERS.deadLetter) ?? '{}') as Partial<DeadLetter>;
    const { code = '', sequence = 0, subject = '' } = letter;
    const agent = place.split('.')[1] ?? '';
    return { agent, commandId: headers.get(HEADERS.commandId) ?? '', code, sequence, subject, at };
  });
}
