/**
 * The wire as JSON Schema, for everyone who does not run zod. What a schema here refuses is refused; the other way round
 * a few rules cannot be said in JSON Schema: lone surrogates, and rules between several keys of a state.
 */
import { z } from 'zod';
import { agentMessages, commandsOf, type AgentMessages } from './agent-messages.ts';
import { commandSchema } from './command.ts';
import type { ActionContract, AgentContract } from './contract.ts';
import type { JsonObject } from './primitives.ts';

/** A JSON Schema as a JSON value. */
export type JsonSchema = JsonObject;

/** JSON Schemas (draft 2020-12) of an agent's messages, by subject. */
export interface AgentJsonSchemas {
  commands: Record<string, JsonSchema>;
  /** Payloads: success of each action, the expiry, `conflict`, `rejected`, `denied`. */
  events: Record<string, JsonSchema>;
  queries: Record<string, JsonSchema>;
  /** Answers to the queries that are not refused. */
  results: Record<string, JsonSchema>;
  /** The answer to any command. */
  reply: JsonSchema;
}

/** @throws TypeError where the contract's schemas use a type that JSON does not have. */
export function jsonSchemas(contract: AgentContract): AgentJsonSchemas {
  const { commands, events, queries } = agentMessages(contract);
  return {
    commands: bySubject(commands, ({ schema }) => inputSchema(schema)),
    events: bySubject(events, ({ schema }) => outputSchema(schema)),
    queries: bySubject(queries, ({ schema }) => inputSchema(schema)),
    results: bySubject(queries, ({ result }) => outputSchema(result)),
    reply: { ...outputSchema(replySchema(events)), title: `Reply of ${contract.name}` },
  };
}

/**
 * JSON Schema (draft 2020-12) of the body of one command.
 * @throws RangeError for an action that the contract does not have, TypeError for a type that JSON does not have.
 */
export function commandJsonSchema(
  contract: { actions: Readonly<Record<string, Pick<ActionContract, 'data' | 'internal' | 'requiresLease'>>> },
  action: string,
): JsonSchema {
  const commands = new Map(commandsOf(contract.actions));
  const known = commands.get(action);
  if (known === undefined) {
    throw new RangeError(`no action ${action}: expected one of ${[...commands.keys()].join(', ')}`);
  }
  return inputSchema(commandSchema(known.data, known.requiresLease !== undefined));
}

type Dialect = 'draft-2020-12' | 'draft-07';

/** What a sender may write: keys with a default may be left out. */
export function inputSchema(schema: z.ZodType, target: Dialect = 'draft-2020-12'): JsonSchema {
  return toJson(schema, { io: 'input', target });
}

/** What a receiver will read. */
export function outputSchema(schema: z.ZodType, target: Dialect = 'draft-2020-12'): JsonSchema {
  return toJson(schema, { io: 'output', target });
}

function toJson(schema: z.ZodType, options: { io: 'input' | 'output'; target: Dialect }): JsonSchema {
  const json = z.toJSONSchema(schema, {
    ...options,
    // JsonObject is a custom schema, which says its type in its metadata; types that are really none are refused below.
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema, path }) => {
      const { def } = zodSchema._zod;
      if (NOT_JSON.has(def.type)) {
        throw new TypeError(`${path.join('/')} is of type ${def.type}: expected a type that JSON has`);
      }
      // zod closes every object it has stripped; on the wire, a later version may add keys to those that are not strict.
      if (def.type === 'object' && def.catchall === undefined) delete jsonSchema.additionalProperties;
    },
  });
  // As plain JSON: without zod's hidden, non-enumerable additions.
  return JSON.parse(JSON.stringify(json)) as JsonSchema;
}

const NOT_JSON: ReadonlySet<string> = new Set([
  'bigint',
  'date',
  'file',
  'function',
  'map',
  'nan',
  'promise',
  'set',
  'symbol',
  'undefined',
  'void',
]);

function replySchema(events: AgentMessages['events']): z.ZodType {
  const replies = events.filter(({ isReply }) => isReply);
  return z.union(replies.map(({ subject, schema }) => z.object({ event: z.literal(subject), payload: schema })));
}

function bySubject<Message extends { subject: string; description: string }>(
  messages: readonly Message[],
  json: (message: Message) => JsonSchema,
): Record<string, JsonSchema> {
  return Object.fromEntries(
    messages.map((message) => {
      const { subject: title, description } = message;
      return [title, { ...json(message), title, description }];
    }),
  );
}
