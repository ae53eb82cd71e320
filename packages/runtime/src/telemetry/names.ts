/** What spans and metrics are told by: the conventions' attributes for messaging, and MeshForge's own. */

/** Who makes the spans and metrics. */
export const SCOPE = '@meshforge/runtime';

export const ATTRIBUTES = {
  system: 'messaging.system',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  subscription: 'messaging.destination.subscription.name',
  conversationId: 'messaging.message.conversation_id',
  errorType: 'error.type',
  agent: 'meshforge.agent',
  action: 'meshforge.action',
  event: 'meshforge.event',
  entityId: 'meshforge.entity_id',
  entityVersion: 'meshforge.entity_version',
  commandId: 'meshforge.command_id',
  outcome: 'meshforge.outcome',
  code: 'meshforge.code',
  reason: 'meshforge.reason',
  queue: 'meshforge.queue',
} as const;

/** The action of commands that the agent does not know: what callers write there has no bound. */
export const UNKNOWN_ACTION = 'unknown';
