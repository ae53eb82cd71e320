/**
 * What an agent does beside deciding: answer later, and tell more of an entity than its state. A companion runs in each
 * replica, and needs nothing that the others do not know too: any replica can answer what another one has held back.
 */
import type { JsonObject } from '@meshforge/protocol';
import type { CommandHeaders } from './decide.ts';
import type { Entity } from './entity.ts';
import type { CommandLease } from './lease-check.ts';
import type { StoreOutcome } from './outcome.ts';

/** A command whose answer is held back, with all that any replica needs to answer it. Times by the server's clock. */
export interface HeldCommand {
  entityId: string;
  action: string;
  /** The lease under which it was sent: it may be over when its turn comes. */
  lease?: CommandLease | undefined;
  data: JsonObject;
  commandId: string;
  headers: CommandHeaders;
  /** Inbox of whoever sent it. */
  reply: string;
  /** When it was taken in and until when its answer may be held back, in milliseconds since the epoch. */
  since: number;
  until: number;
  /** The replica that sees to it, as long as it lives. */
  keeper: string;
}

/** A command that was refused and can still be answered later. */
export type RefusedCommand = Omit<HeldCommand, 'until' | 'keeper'> & { expectedVersion: number | undefined };

/** What rules and companions see of an entity. */
export type SeenEntity = Pick<Entity, 'version' | 'state' | 'notes'>;

export interface Companion {
  /**
   * A command was refused by its rule. True: the companion will see to its answer. Must not throw.
   * @param remembered given where the refusal may be out of date: the entity as this replica remembers it. Whoever takes the
   *   command then must have it decided again before it is answered.
   */
  holdsBack(command: RefusedCommand, code: string, remembered?: SeenEntity): boolean;
  /** This replica has committed. Must not throw. */
  committed(entityId: string, event: string, entity: SeenEntity, data: JsonObject | undefined): void;
  /** The server has ended a lease; at most once, and every replica is told. Must not throw. */
  expired(entityId: string): void;
  /** What `get` and `list` tell of an entity beside its state. */
  view(entityId: string, entity: SeenEntity, query: 'get' | 'list'): JsonObject;
  /** Begins nothing new, and resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** The commands of an agent that are held back, the same in all its replicas but for the time a message takes. */
export interface HeldCommands {
  readonly size: number;
  /** Entities with held commands. */
  entities(): readonly string[];
  /** Those of one entity, first come first. */
  of(entityId: string): readonly HeldCommand[];
  /** The command as it is held now; undefined when it is not, or no longer. */
  find(entityId: string, commandId: string): HeldCommand | undefined;
  /** Reads those of an entity from the server, for one that ought to be there and is not. Rejects when it does not answer. */
  refresh(entityId: string): Promise<void>;
  /**
   * Stores a command, instead of an earlier one of the same id. Failed: whether it is stored is not known, and it may be tried
   * again. Answered: an earlier try was stored after all, and another replica has answered the command.
   */
  put(command: HeldCommand): Promise<'held' | 'answered' | 'failed'>;
  /** Stores a command instead of the one that is held, if it still is. False: it is not, or that could not be done. */
  replace(command: HeldCommand): Promise<boolean>;
  /**
   * Makes a command one replica's alone to answer, and keeps what it is answered until it is dropped: should that replica die,
   * another one gives the same answer. The command as it is held now, for whoever comes first. Undefined: another replica
   * answers it. While the server does not answer, everybody is told to be first.
   */
  claim(command: HeldCommand, outcome: StoreOutcome): Promise<HeldCommand | undefined>;
  /** Forgets one that has been answered; here at once. Resolves when the server has, or has not answered for too long. */
  drop(command: HeldCommand): Promise<void>;
}

/** What a companion's replica does for it. */
export interface AgentHost {
  /** Unlike that of any other replica. */
  readonly replica: string;
  readonly held: HeldCommands;
  /** Milliseconds since the epoch, by the server's clock. */
  serverNow(): number;
  /** Resolves after so many milliseconds, or when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Decides a command as the agent itself, internal ones too. `data` must be what the action's schema gives. */
  execute(
    command: Pick<HeldCommand, 'entityId' | 'action' | 'lease' | 'data' | 'commandId' | 'headers'>,
  ): Promise<StoreOutcome>;
  /** The entity as the stream's leader has it; undefined when nobody answers. */
  look(entityId: string): Promise<SeenEntity | undefined>;
  /** Sends a held command its answer. False: nobody is there to take it; true when that is not certain. */
  answer(command: HeldCommand, outcome: StoreOutcome): Promise<boolean>;
  /** Tells everybody something beside commits and refusals, on `evt.<agent>.<event>`; at most once. */
  notify(event: string, payload: JsonObject): void;
  /** Something that must not happen; for the log. */
  onFault(error: unknown): void;
}
