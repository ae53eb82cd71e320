/**
 * Puts an AsyncAPI document together and keeps its references right. Whatever has a subject is named after it: channel,
 * operation, message and schema.
 */
import { headerSchemas, type HeaderKind } from './asyncapi-headers.ts';
import { HEADERS } from './headers.ts';
import type { JsonSchema } from './json-schema.ts';
import type { JsonObject } from './primitives.ts';

export interface AsyncApiDocument {
  asyncapi: '3.0.0';
  info: JsonObject;
  defaultContentType: string;
  servers: Record<string, JsonObject>;
  channels: Record<string, JsonObject>;
  operations: Record<string, JsonObject>;
  components: { messages: Record<string, JsonObject>; schemas: Record<string, JsonSchema> };
}

export interface MessageParts {
  description: string;
  headers: HeaderKind;
  payload: JsonSchema;
}

export class AsyncApiBuilder {
  readonly document: AsyncApiDocument;

  constructor(head: Pick<AsyncApiDocument, 'info' | 'servers'>) {
    this.document = {
      asyncapi: '3.0.0',
      ...head,
      defaultContentType: 'application/json',
      channels: {},
      operations: {},
      components: { messages: {}, schemas: {} },
    };
    for (const [kind, schema] of Object.entries(headerSchemas())) this.#schema(`headers.${kind}`, schema);
  }

  /** A channel that carries one kind of message; its address is its name. */
  channel(subject: string, parts: MessageParts): void {
    const messages = { [subject]: this.#message(subject, parts) };
    this.document.channels[subject] = { address: subject, description: parts.description, messages };
  }

  /** A channel without an address of its own: each caller's inbox. */
  inbox(name: string, more: { title: string; description: string }): void {
    this.document.channels[name] = { address: null, ...more, messages: {} };
  }

  /** One kind of message more that an inbox can get. */
  reply(inbox: string, name: string, parts: MessageParts): void {
    const messages = this.document.channels[inbox]?.messages as JsonObject;
    messages[name] = this.#message(name, parts);
  }

  /** What an agent does with the message of a channel. */
  operation(subject: string, more: { action: 'send' | 'receive' } & JsonObject): void {
    const messages = [messageRef(subject, subject)];
    this.document.operations[subject] = { ...more, channel: channelRef(subject), messages };
  }

  #message(name: string, { description, headers, payload }: MessageParts): JsonObject {
    this.document.components.messages[name] = {
      name,
      title: name,
      summary: description,
      headers: schemaRef(`headers.${headers}`),
      correlationId: { location: `$message.header#/${HEADERS.correlationId}` },
      payload: this.#schema(name, payload),
    };
    return { $ref: `#/components/messages/${name}` };
  }

  #schema(name: string, schema: JsonSchema): JsonObject {
    const part = { ...schema };
    // It names the dialect of a whole document.
    delete part.$schema;
    this.document.components.schemas[name] = part;
    return schemaRef(name);
  }
}

export function schemaRef(name: string): JsonObject {
  return { $ref: `#/components/schemas/${name}` };
}

export function channelRef(name: string): JsonObject {
  return { $ref: `#/channels/${name}` };
}

export function messageRef(channel: string, message: string): JsonObject {
  return { $ref: `#/channels/${channel}/messages/${message}` };
}
