import { inventoryContract, lockContract, type AgentContract, type JsonObject } from '@meshforge/protocol';
import type { NamedLease } from '../history.ts';

/** The agents that are under load, by their tokens. */
export const CONTRACTS = { inventory: inventoryContract, lock: lockContract } as const satisfies Record<
  string,
  AgentContract
>;
export type AgentToken = keyof typeof CONTRACTS;

/** A command before it is sent. */
export interface Command {
  readonly agent: AgentToken;
  readonly action: string;
  readonly commandId: string;
  readonly entityId: string;
  readonly expectedVersion?: number;
  /** Under which it is sent. */
  readonly lease?: NamedLease;
  readonly data: JsonObject;
}
