import type { AgentContract } from '@meshforge/protocol';
import type { Mesh } from '../client/mesh.ts';
import type { StateOf } from '../client/types.ts';
import type { Reacting, ReactOptions, RunningReaction } from './types.ts';

/** A reaction before it runs. */
export interface Reaction {
  readonly name: string;
  start(mesh: Mesh, onFault: (error: unknown) => void): Promise<RunningReaction>;
}

/** Defines a reaction that a process runs beside its agent; see `Mesh.react`. */
export function defineReaction<C extends AgentContract>(
  on: C,
  options: ReactOptions,
  handler: Reacting<StateOf<C>>,
): Reaction {
  return {
    name: options.name,
    start: (mesh, onFault) => mesh.react(on, { onFault, ...options }, handler),
  };
}
