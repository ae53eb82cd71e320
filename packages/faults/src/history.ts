/**
 * What a run leaves behind, and all that the checker knows: what clients sent and were told, what the log of an agent took
 * in, and what events went out. Everything is plain JSON, so that a history can be kept in a file and checked again.
 *
 * All clients live in one process, so their times come from one monotonic clock: milliseconds since the run began.
 */
import type { JsonObject } from '@meshforge/protocol';

/** A command as a client sent it. Every try carries the same id and the same body. */
export interface Sent {
  readonly type: 'sent';
  /** When the first try left. */
  readonly atMs: number;
  readonly client: string;
  /** The agent's token on the wire: `inventory`, `lock`. */
  readonly agent: string;
  readonly action: string;
  readonly commandId: string;
  readonly entityId: string;
  readonly expectedVersion?: number;
  /** The lease under which it was sent. */
  readonly lease?: NamedLease;
  readonly data: JsonObject;
  /** Set where it is stored first, and executed later. */
  readonly durable?: Durable;
}

export interface Durable {
  /** Not before this time, in milliseconds since the epoch. Missing: at once. */
  readonly dueMs?: number;
}

export interface NamedLease {
  readonly resource: string;
  readonly fencing_token: number;
}

/** The end of a command for its client. */
export interface Told {
  readonly type: 'told';
  readonly atMs: number;
  readonly commandId: string;
  /** Only one copy was ever sent, so its answer is about that copy. */
  readonly single: boolean;
  /** The client left while it waited: no answer could reach it. */
  readonly gone?: true;
  /** Missing when no definite answer came within the client's patience: the outcome is unknown. */
  readonly answer?: Answer;
}

export interface Answer {
  readonly kind: 'committed' | 'replayed' | 'conflict' | 'rejected' | 'denied';
  /** `evt.inventory.adjusted`. */
  readonly event: string;
  readonly payload: JsonObject;
}

/** What became of a durable command on its way. */
export interface Queued {
  readonly type: 'queued';
  readonly atMs: number;
  readonly commandId: string;
  /**
   * `stored`: acknowledged. Of a cancellation: `cancelled`, it will not be executed; `kept`, its time had come; `unsure`, nobody
   * knows.
   */
  readonly as: 'stored' | 'cancelled' | 'kept' | 'unsure';
  /** When a cancellation was begun. */
  readonly askedAtMs?: number;
}

/** A message of an agent's log, in the order of the stream: the witness. */
export interface Logged {
  readonly type: 'logged';
  readonly agent: string;
  readonly sequence: number;
  /** RFC 3339, the server's. */
  readonly time: string;
  readonly entityId: string;
  /**
   * `commit`: a new version. `unchanged`: nothing but the notes changed. `record`: a durable command was refused. `expiry`: a lease
   * has ended, as the server wrote, or an agent in its place.
   */
  readonly kind: 'commit' | 'unchanged' | 'record' | 'expiry';
  /** Last token of the subject: `adjusted`, `expired`, `refused`. */
  readonly event: string;
  /** All but a commit repeat it; 0 = there was no commit yet. */
  readonly version: number;
  readonly state: JsonObject | null;
  readonly data?: JsonObject;
  /** Of a record: what the command was told. Missing where it was a dead letter. */
  readonly refusal?: Pick<Answer, 'kind' | 'payload'>;
  /** Of the command that made it; for an expiry that of the lease that ended. */
  readonly commandId: string;
  /** Of the command for whose sake the agent itself made it. */
  readonly causedBy?: string;
  /** The lease that it left standing: its event, its version, and its end in milliseconds since the epoch. */
  readonly keeps?: string;
  /** What the rules left for the next command. */
  readonly notes?: string;
  /** The highest fencing token that the entity has seen of each resource. */
  readonly fences?: string;
  /** Place in the queue of the last durable command that was decided on the entity. Missing: none was. */
  readonly mark?: number;
}

/** A message on `evt.>`, as a plain subscriber heard it. Live events are at most once, and may repeat. */
export interface Heard {
  readonly type: 'heard';
  readonly atMs: number;
  readonly agent: string;
  readonly event: string;
  readonly commandId: string;
  readonly payload: JsonObject;
  /** Of the commit, as the server names it; missing on what agents say themselves (conflict, rejected, denied). */
  readonly sequence?: number;
}

/** A time in which something was wrong with the mesh, known when it was healed. */
export interface Disturbed {
  readonly type: 'disturbed';
  readonly fromMs: number;
  readonly untilMs: number;
  /** What was hit: `servers`, `agents`, `links`, `streams`; or `clients` alone. */
  readonly lane: string;
  /** Clients whose own ways to the servers were hit. */
  readonly clients?: readonly string[];
  /** Agents of which a replica ended, with all that it had in its memory. */
  readonly ended?: readonly string[];
}

/** An operator took away what an agent had stored. */
export interface Taken {
  readonly type: 'taken';
  readonly agent: string;
  /**
   * - `queue`: the stream of durable commands was deleted. Told before it is created again.
   * - `tail`: the log was restored from a backup, and is read anew from behind `sequence`. Told when that is done.
   * - `entity`: the log of one entity was purged. Told before that is done.
   */
  readonly what: 'queue' | 'tail' | 'entity';
  /** Of a tail: the last message that is left. */
  readonly sequence?: number;
  readonly entityId?: string;
}

export type Entry = Sent | Told | Queued | Logged | Heard | Disturbed | Taken;

/** An invariant that did not hold. */
export interface Breach {
  /** `I1` … `I7`, or the name of a further invariant. */
  readonly invariant: string;
  /** What was expected and what was found, in one sentence. */
  readonly what: string;
  /** The shortest part of the history that shows it, oldest first. */
  readonly history: readonly Entry[];
}
