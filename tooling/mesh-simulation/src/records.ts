/** What is known of a history when it is over. */
import type { JsonObject } from '@meshforge/protocol';
import type { AgentName } from './agents.ts';
import type { Script } from './script.ts';

/** What somebody was told of a command. */
export interface Told {
  at: number;
  /** `failed`: an error that says nothing of the outcome. */
  kind: 'committed' | 'conflict' | 'rejected' | 'denied' | 'malformed' | 'failed';
  /** Of a refusal, or of an error. */
  code: string;
  reason: string;
  version: number | undefined;
  state: unknown;
  isReplayed: boolean;
  /** By the reply to a request, or at the inbox of a durable command. */
  via: 'request' | 'durable';
}

/** A command as its sender has it. */
export interface CommandRecord {
  id: string;
  agent: AgentName;
  action: string;
  entity: string;
  data: JsonObject;
  expectedVersion: number | undefined;
  lease: { resource: string; fencingToken: number } | undefined;
  /** How long it may be decided, in milliseconds. */
  deadlineMs: number | undefined;
  client: number;
  sentAt: number;
  /** How it was sent; a command may be sent in both ways. */
  isRequested: boolean;
  isDurable: boolean;
  /** Milliseconds after it was sent. */
  afterMs: number;
  /** When the sender was told that it is stored. */
  storedAt: number | undefined;
  /** What its cancellation was answered. */
  cancelled: boolean | undefined;
  told: Told[];
  /** Clients that wait for an answer. */
  waiting: Set<number>;
  /** An optimistic update: its tries have ids and data of their own. */
  isUpdate: boolean;
}

/** A message that was stored, also if it is gone by now. */
export interface Stored {
  stream: string;
  /** Counts the streams of this name. */
  incarnation: number;
  sequence: number;
  subject: string;
  headers: ReadonlyMap<string, string>;
  body: unknown;
  /** By the server, milliseconds since the epoch; on a replicated stream from before it was stored. */
  at: number;
  /** When it was there, milliseconds since the epoch. */
  seenAt: number;
}

/** Somebody took a lock with `mesh.lock` or `mesh.acquire`. */
export interface LockRecord {
  client: number;
  lock: string;
  startedAt: number;
  waitMs: number;
  token: number | undefined;
  grantedAt: number | undefined;
  endedAt: number | undefined;
  how: 'done' | 'lost' | 'denied' | 'failed' | undefined;
  why: string;
  isOrphan: boolean;
}

export interface ReadRecord {
  at: number;
  entity: string;
  what: string;
  /** Version and state of what was read. */
  found: { entity: string; version: number; state: unknown }[];
}

export interface GarbageRecord {
  at: number;
  shape: string;
  expects: readonly string[];
  /** Undefined where no answer came. */
  answer: string | undefined;
  isSettled: boolean;
}

/** What a queue still holds. */
export interface Left {
  stream: string;
  subject: string;
  sequence: number;
  /** When a delayed command falls due, milliseconds since the epoch; 0: at once. */
  dueAt: number;
}

export interface HistoryRecord {
  script: Script;
  /** Of each stream, in the order in which it was stored. */
  stored: ReadonlyMap<string, readonly Stored[]>;
  commands: readonly CommandRecord[];
  locks: readonly LockRecord[];
  reads: readonly ReadRecord[];
  garbage: readonly GarbageRecord[];
  /** When each command was published to `cmd.>`. */
  copies: ReadonlyMap<string, readonly number[]>;
  /** Times when a lease was believed in while another was granted. */
  beliefs: readonly string[];
  /** Published on `evt.>` by a process, and not by the server. */
  spoken: readonly { subject: string; at: number; commandId: string }[];
  /** What is still stored in queues, by subject. */
  left: readonly Left[];
  /** What was not as it should be at the end, or on the way. */
  unrest: readonly string[];
  /** From the end of the last fault until everything was done, in milliseconds. */
  calmAfterMs: number;
  /** Resources that were broken by an operator, and when. */
  breaks: readonly { lock: string; at: number }[];
  hasRuin: boolean;
  events: number;
}
