/**
 * The wire as one AsyncAPI 3.0.0 document, written from the agents' side: they receive commands and queries, and send
 * events and replies.
 */
import { agentMessages, type CommandMessage, type EventMessage, type QueryMessage } from './agent-messages.ts';
import { inventoryContract } from './agents/inventory.ts';
import { lockContract } from './agents/lock.ts';
import { AsyncApiBuilder, channelRef, messageRef, schemaRef, type AsyncApiDocument } from './asyncapi-builder.ts';
import type { AgentContract } from './contract.ts';
import { inputSchema, outputSchema } from './json-schema.ts';
import type { JsonObject } from './primitives.ts';
import { agentToken, eventSubject } from './subjects.ts';

/** Version of the wire; the packages have versions of their own. */
export const PROTOCOL_VERSION = '0.15';

/**
 * Describes agents; those that ship with MeshForge unless others are given. The same contracts give the same document.
 * @throws TypeError where a contract's schemas use a type that JSON does not have.
 */
export function asyncApiDocument(
  contracts: readonly AgentContract[] = [inventoryContract, lockContract],
): AsyncApiDocument {
  const builder = new AsyncApiBuilder({
    info: {
      title: 'MeshForge',
      version: PROTOCOL_VERSION,
      description: 'Agents that share versioned entities over NATS. Every body is one JSON object in UTF-8.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: { nats: { host: '127.0.0.1:4222', protocol: 'nats', description: 'NATS 2.14 or later with JetStream.' } },
  });
  for (const contract of contracts) addAgent(builder, contract);
  return builder.document;
}

function addAgent(builder: AsyncApiBuilder, contract: AgentContract): void {
  const { commands, events, queries } = agentMessages(contract);
  builder.inbox(inboxOf(contract), {
    title: `Replies of ${contract.name}`,
    description: "The inbox that the caller names as its request's reply subject.",
  });
  for (const event of events) addEvent(builder, contract, event);
  for (const command of commands) addCommand(builder, contract, command, events);
  for (const query of queries) addQuery(builder, contract, query);
}

function addEvent(builder: AsyncApiBuilder, contract: AgentContract, event: EventMessage): void {
  const { subject, description, committed, isReply } = event;
  const payload = outputSchema(event.schema, 'draft-07');
  builder.channel(subject, { description, headers: committed ? 'commit' : 'signal', payload });
  builder.operation(subject, { action: 'send', summary: description, tags: tags(contract) });
  if (!isReply) return;
  builder.reply(inboxOf(contract), replyTo(subject), {
    description: `The reply to a command whose outcome is ${subject}.`,
    headers: 'reply',
    payload: {
      type: 'object',
      properties: { event: { type: 'string', const: subject }, payload: schemaRef(subject) },
      required: ['event', 'payload'],
    },
  });
}

function addCommand(
  builder: AsyncApiBuilder,
  contract: AgentContract,
  command: CommandMessage,
  events: readonly EventMessage[],
): void {
  const { subject, description, schema } = command;
  builder.channel(subject, { description, headers: 'command', payload: inputSchema(schema, 'draft-07') });
  const outcomes = events.filter(
    ({ committed, isReply, subject: told }) => isReply && (!committed || told === command.event),
  );
  const replies = outcomes.map((event) => replyTo(event.subject));
  builder.operation(subject, request(contract, description, replies));
}

function addQuery(builder: AsyncApiBuilder, contract: AgentContract, query: QueryMessage): void {
  const { subject, description, schema, result } = query;
  builder.channel(subject, { description, headers: 'query', payload: inputSchema(schema, 'draft-07') });
  builder.reply(inboxOf(contract), replyTo(subject), {
    description: `The answer to ${subject}.`,
    headers: 'answer',
    payload: outputSchema(result, 'draft-07'),
  });
  const replies = [replyTo(subject), replyTo(eventSubject(contract.name, 'rejected'))];
  builder.operation(subject, request(contract, description, replies));
}

/** Something the agent answers; one process of its queue group gets it. */
function request(
  contract: AgentContract,
  summary: string,
  replies: readonly string[],
): { action: 'receive' } & JsonObject {
  const inbox = inboxOf(contract);
  return {
    action: 'receive',
    summary,
    bindings: { nats: { queue: contract.name, bindingVersion: '0.1.0' } },
    reply: { channel: channelRef(inbox), messages: replies.map((reply) => messageRef(inbox, reply)) },
    tags: tags(contract),
  };
}

function tags({ name, description }: AgentContract): JsonObject[] {
  return [{ name, description }];
}

function inboxOf(contract: AgentContract): string {
  return `${agentToken(contract.name)}.replies`;
}

function replyTo(subject: string): string {
  return `reply.${subject}`;
}
