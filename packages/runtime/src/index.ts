// What users need first: define an agent, start it, talk to it.
export {
  annotate,
  commit,
  defineAgent,
  reject,
  type Action,
  type Agent,
  type AnyAgent,
  type LeaseDefinition,
  type RuleContext,
  type RuleResult,
} from './core/agent.ts';
export type { AgentHost, Companion, RefusedCommand, SeenEntity } from './core/companion.ts';
export type { StoreOutcome } from './core/outcome.ts';
export { digestOf } from './nats/digest.ts';
export { startAgent, type AgentStats, type RunningAgent } from './start-agent.ts';
export type { AgentOptions, Logger } from './options.ts';
export type { ConnectOptions } from './nats/connect.ts';
export { MeshError, type MeshErrorCode } from './errors.ts';
export { connectMesh, type Mesh } from './client/mesh.ts';
export type {
  ChangeEvent,
  CommandOutcome,
  EventSubscription,
  LeaseProof,
  MeshEvent,
  MeshOptions,
  RequestOptions,
  SignalEvent,
  SubscribeOptions,
} from './client/types.ts';
export type { HeldLock, Lease, LeaseLossCause, LockOptions } from './client/locks/types.ts';
export type { Letters } from './client/letters.ts';
export type { SendOptions, Sent, SentCommand } from './client/send.ts';
export { defineReaction, type Reaction } from './reaction/define-reaction.ts';
export {
  command,
  type Reacting,
  type ReactionCommand,
  type ReactOptions,
  type RunningReaction,
} from './reaction/types.ts';
export type { QueueStats } from './durable/worker-options.ts';
export type { RetryPolicy } from './durable/retry-policy.ts';
export type { UpdateOptions, Updater } from './client/update.ts';
export type { Watch } from './client/watch.ts';
