// What users need first: the agents that ship with MeshForge, and the messages.
export { inventoryContract, InventoryState } from './agents/inventory.ts';
export {
  DeniedPayload,
  LeaseLost,
  LeaseTaken,
  LOCK_DENIALS,
  LOCK_LIMITS,
  lockContract,
  LockState,
  LockView,
  Queued,
  WaitEnded,
  type LockDenial,
} from './agents/lock.ts';
export { readOutcome, type Outcome } from './outcome.ts';
export { CommandBody, CommandLease, commandSchema } from './command.ts';
export { ConflictPayload, Issue, RejectedPayload, ReplyBody, SuccessPayload, successSchema } from './event.ts';
export {
  GetQuery,
  GetResult,
  HistoryEvent,
  HistoryQuery,
  HistoryResult,
  ListQuery,
  ListResult,
  OutcomeQuery,
  OutcomeResult,
} from './query.ts';
export {
  DeadLetter,
  DeadLetterNote,
  LetterQuery,
  LetterResult,
  LettersCommand,
  LettersDone,
  LettersQuery,
  LettersResult,
} from './dead-letter.ts';
export { commandJsonSchema, jsonSchemas, type AgentJsonSchemas, type JsonSchema } from './json-schema.ts';
export { commandsOf } from './agent-messages.ts';
export { asyncApiDocument, PROTOCOL_VERSION } from './asyncapi.ts';
export type { AsyncApiDocument } from './asyncapi-builder.ts';

// What integrators need: subjects, headers, codes, limits, the codec, contracts of further agents.
export {
  agentToken,
  commandSubject,
  commandWildcard,
  entityEventFilter,
  entityFilter,
  entityStream,
  entitySubject,
  entityWildcard,
  eventSubject,
  eventWildcard,
  commandStream,
  DEAD_LETTERS_STREAM,
  DEAD_LETTERS_WILDCARD,
  deadLetterFilter,
  decidedFilter,
  decidedSubject,
  decidedWildcard,
  type Decision,
  deadLetterSubject,
  delayedCommandSubject,
  delayedCommandWildcard,
  isName,
  isReplica,
  LETTER_VERBS,
  letterSubject,
  parseSubject,
  probeSubject,
  QUERY_KINDS,
  querySubject,
  queryWildcard,
  queuedActionFilter,
  queuedEntityFilter,
  queuedCommandSubject,
  recordSubject,
  replicaCommandSubject,
  replicaCommandWildcard,
  queuedCommandWildcard,
  REPUBLISH,
  SIGNAL_EVENTS,
  SIGNALS_STREAM,
  SIGNALS_SUBJECTS,
  type LetterVerb,
  type ParsedSubject,
  type Slot,
  type QueryKind,
} from './subjects.ts';
export { decodeToken, encodeToken } from './token.ts';
export { HEADERS, ID_HEADER_VALUE, ID_HEADERS, TRACE_HEADER_VALUE, TRACE_HEADERS } from './headers.ts';
export { CONFLICT_STATUS, REJECTION_CODES, RULE_STATUS, statusOfCode, type RejectionCode } from './codes.ts';
export { LIMITS } from './limits.ts';
export { check, decode, decodeCommand, decodeJson, encode, type Decoded } from './codec.ts';
export { assertEventName, defineContract, type ActionContract, type AgentContract } from './contract.ts';
export { boundedText, EntityId, EntityVersion, JsonObject, Timestamp, VersionOrNone } from './primitives.ts';
export { printable } from './text.ts';
