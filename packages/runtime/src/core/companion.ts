/** What an agent does beside deciding: answer a command later, and tell more of an entity than its state. One runs in each replica. */
import type { JsonObject, SuccessPayload } from '@meshforge/protocol';
import type { CommandHeaders } from './decide.ts';
import type { Entity } from './entity.ts';
import type { CommandLease } from './lease-check.ts';
import type { StoreOutcome } from './outcome.ts';

/** A command that a rule has refused, with all that it takes to decide it once more and to answer it. */
export interface RefusedCommand {
  entityId: string;
  action: string;
  expectedVersion: number | undefined;
  /** The lease under which it was sent: it may be over when the command is decided again. */
  lease?: CommandLease | undefined;
  data: JsonObject;
  commandId: string;
  headers: CommandHeaders;
  /** Inbox of whoever sent it. */
  reply: string;
  /** When it came in, in milliseconds since the epoch, by the server's clock. */
  since: number;
}

/** What rules and companions see of an entity. */
export type SeenEntity = Pick<Entity, 'version' | 'state' | 'notes'>;

export interface Companion {
  /**
   * A command was refused by its rule. True: the companion will answer it later. Must not throw.
   * @param remembered given where the refusal may be out of date: the entity as this replica remembers it. The companion must
   *   then have the command decided again before it answers.
   */
  defers(command: RefusedCommand, code: string, remembered?: SeenEntity): boolean;
  /** This replica has committed. Must not throw. */
  committed(entityId: string, event: string, entity: SeenEntity, data: JsonObject | undefined): void;
  /** What `get` and `list` tell of an entity beside its state. */
  view(entityId: string, entity: SeenEntity, query: 'get' | 'list'): JsonObject;
  /** Begins nothing new, and resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** What a companion's replica does for it. */
export interface AgentHost {
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow(): number;
  /** Resolves after so many milliseconds, or when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /**
   * Decides a command as the agent itself, internal ones too. `data` must be what the action's schema gives.
   * @param action default: that of the command @param commandId default: that of the command
   */
  execute(command: RefusedCommand, action: string, data: JsonObject, commandId?: string): Promise<StoreOutcome>;
  /** The entity as the stream's leader has it; undefined when nobody answers. */
  look(entityId: string): Promise<SeenEntity | undefined>;
  /**
   * Answers a command, and tells everybody if it was refused for good. False: nobody takes answers at its inbox any more; true
   * when that is not certain.
   */
  answer(command: RefusedCommand, outcome: StoreOutcome): Promise<boolean>;
  /** Hears of changes to the agent's entities, live: at most once. @returns what ends it */
  hear(events: readonly string[], onEvent: (event: string, payload: SuccessPayload) => void): () => void;
  /** Tells everybody something beside commits and refusals, on `evt.<agent>.<event>`; at most once. */
  notify(event: string, payload: JsonObject): void;
  /** Something that must not happen; for the log. */
  onFault(error: unknown): void;
}
