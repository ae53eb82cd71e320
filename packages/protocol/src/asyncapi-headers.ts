/** The headers of each kind of message, as AsyncAPI describes them. */
import { CONFLICT_STATUS, REJECTION_CODES, RULE_STATUS, statusOfCode } from './codes.ts';
import { HEADERS, ID_HEADERS, TRACE_HEADERS } from './headers.ts';
import type { JsonSchema } from './json-schema.ts';
import { LIMITS } from './limits.ts';

export type HeaderKind = 'command' | 'commit' | 'signal' | 'query' | 'reply' | 'answer';

export function headerSchemas(): Record<HeaderKind, JsonSchema> {
  return {
    command: headers({
      ...passedOn,
      [HEADERS.commandId]: {
        ...id,
        description: 'Idempotency key: the same id commits at most once. Minted if missing.',
      },
    }),
    commit: headers({ ...passedOn, ...stored }),
    signal: headers(passedOn),
    query: headers(correlated),
    reply: headers({ ...passedOn, ...refused, [HEADERS.replayed]: replayed }),
    answer: headers({ ...correlated, ...refused }),
  };
}

function headers(properties: Record<string, JsonSchema>): JsonSchema {
  return { type: 'object', properties };
}

const id: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: LIMITS.idHeaderCharacters,
};
const trace: JsonSchema = { type: 'string', maxLength: LIMITS.traceHeaderBytes };
const passedOn = { ...byName(ID_HEADERS, id), ...byName(TRACE_HEADERS, trace) };
const correlated = byName([HEADERS.correlationId], id);

/** What the server adds when it emits a commit; together they name its place in the log. */
const stored = {
  'Nats-Stream': { type: 'string', description: 'The stream that holds the commit.' },
  'Nats-Sequence': { type: 'string', pattern: '^[0-9]+$', description: 'Its sequence there: drop what you have seen.' },
  'Nats-Time-Stamp': { type: 'string', description: 'When the server stored it, RFC 3339.' },
};

const refused = {
  [HEADERS.errorCode]: {
    type: 'string',
    enum: statuses().map(String),
    description: 'Only on a conflict or refusal.',
  },
  [HEADERS.error]: { type: 'string', description: 'The reason. Only on a conflict or refusal.' },
};

const replayed: JsonSchema = {
  type: 'string',
  const: 'true',
  description: 'Only where the command had been decided before.',
};

function statuses(): number[] {
  return [...new Set([CONFLICT_STATUS, RULE_STATUS, ...REJECTION_CODES.map(statusOfCode)])].sort((a, b) => a - b);
}

function byName(names: readonly string[], schema: JsonSchema): Record<string, JsonSchema> {
  return Object.fromEntries(names.map((name) => [name, schema]));
}
