import type { AgentContract } from '@meshforge/protocol';
import type { SendOptions } from '../client/send.ts';
import type { ActionOf, ChangeEvent, DataOf, SubscribeOptions } from '../client/types.ts';
import type { QueueStats } from '../durable/worker-options.ts';
import type { RetryPolicy } from '../durable/retry-policy.ts';

/** A command that an event leads to. Its ids come from the event. */
export interface ReactionCommand {
  readonly contract: AgentContract;
  readonly action: string;
  readonly options: ReactionCommandOptions<unknown>;
}

export type ReactionCommandOptions<Data> = Pick<
  SendOptions<Data>,
  'entityId' | 'expectedVersion' | 'lease' | 'data' | 'at' | 'afterMs'
>;

/** A command for a reaction to return. */
export function command<C extends AgentContract, A extends ActionOf<C>>(
  contract: C,
  action: A,
  options: ReactionCommandOptions<DataOf<C, A>>,
): ReactionCommand {
  return { contract, action, options };
}

/**
 * What an event leads to: commands to any agents, or nothing. It may run several times for one event, and must then return the
 * same commands in the same order: each is known by its event and its place.
 */
export type Reacting<State> = (event: ChangeEvent<State>) => Commands | Promise<Commands>;

type Commands = ReactionCommand | readonly ReactionCommand[] | undefined;

export interface ReactOptions extends Pick<SubscribeOptions, 'events' | 'exactEvents' | 'from'> {
  /**
   * What the reaction goes by in the server, and its dead letters: `^[a-z][a-z0-9_]{0,63}$`, unlike any agent's name. All
   * processes that react under one name share the events.
   */
  name: string;
  /**
   * Makes `events` the events of the reaction, whatever other processes asked for before: the others are delivered to nobody
   * from now on. Else a start only adds events; a process that is delivered one that it does not handle leaves it, and all
   * that comes behind it, to others. Default false.
   */
  exactEvents?: boolean;
  /** How often an event is tried whose handler throws, or whose commands cannot be stored. */
  retry?: Partial<RetryPolicy>;
  /** Told when an event is tried again, and when it has become a dead letter. */
  onFault?: (error: unknown) => void;
}

/** A reaction that is under way. */
export interface RunningReaction {
  stats(): QueueStats;
  /** Finishes the events at hand, and ends; another process with the same reaction goes on, or this one when it is back. */
  stop(): Promise<void>;
}
