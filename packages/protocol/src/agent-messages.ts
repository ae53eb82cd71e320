/** The schemas of everything that is said to an agent and by it, put together from its contract. */
import { z } from 'zod';
import { commandSchema } from './command.ts';
import type { AgentContract } from './contract.ts';
import { ConflictPayload, RejectedPayload, successSchema } from './event.ts';
import {
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
import { commandSubject, eventSubject, QUERY_KINDS, querySubject, type QueryKind } from './subjects.ts';

/** One message on one subject. */
interface Message {
  subject: string;
  description: string;
  schema: z.ZodType;
}

export interface CommandMessage extends Message {
  action: string;
  /** Subject of the event that announces the success. */
  event: string;
}

export interface EventMessage extends Message {
  /** Whether the server emits it for a commit; the others are the agent's word that nothing changed. */
  committed: boolean;
  /** Whether it can be the reply to a command: all but the end of a lease, which nobody commanded. */
  isReply: boolean;
}

export interface QueryMessage extends Message {
  kind: QueryKind;
  result: z.ZodType;
}

export interface AgentMessages {
  commands: CommandMessage[];
  events: EventMessage[];
  queries: QueryMessage[];
}

export function agentMessages(contract: AgentContract): AgentMessages {
  const { name, actions, state, view } = contract;
  const results = resultSchemas(state, view);
  return {
    commands: commandsOf(actions).map(([action, { data, description = '', event, requiresLease }]) => ({
      action,
      event: eventSubject(name, event),
      subject: commandSubject(name, action),
      description,
      schema: commandSchema(data, requiresLease !== undefined),
    })),
    events: eventMessages(contract),
    queries: QUERY_KINDS.map((kind) => ({
      kind,
      subject: querySubject(name, kind),
      ...QUERIES[kind],
      result: results[kind],
    })),
  };
}

/** The actions that others may command. */
export function commandsOf<Action extends { internal?: true }>(
  actions: Readonly<Record<string, Action>>,
): [name: string, action: Action][] {
  return Object.entries(actions).filter(([, { internal }]) => internal !== true);
}

function eventMessages({ name, state, actions, expiryEvent, denied, notices = {} }: AgentContract): EventMessage[] {
  const success = [...new Set(Object.values(actions).map(({ event }) => event))].map((event) => {
    const causes = Object.entries(actions).filter(([, action]) => action.event === event);
    const description = `Committed by ${causes.map(([action]) => action).join(' or ')}.`;
    const schema = successSchema(state, eitherOf(causes.map(([, { eventData }]) => eventData)));
    return { subject: eventSubject(name, event), description, schema, committed: true, isReply: true };
  });
  const signal = (event: string, description: string, schema: z.ZodType): EventMessage => {
    return { subject: eventSubject(name, event), description, schema, committed: false, isReply: true };
  };
  const events: EventMessage[] = [...success];
  if (expiryEvent !== undefined) {
    const description =
      'A lease ended unrefreshed. Committed by the NATS server; the payload is that of the lease. Void where a higher version came before it.';
    const subject = eventSubject(name, expiryEvent);
    events.push({ subject, description, schema: successSchema(state), committed: true, isReply: false });
  }
  for (const [notice, { description, schema }] of Object.entries(notices)) {
    events.push({ subject: eventSubject(name, notice), description, schema, committed: false, isReply: false });
  }
  events.push(signal('conflict', 'A command expected another version than the entity has.', ConflictPayload));
  events.push(signal('rejected', 'A command was refused; nothing changed.', RejectedPayload));
  if (denied !== undefined) events.push(signal('denied', "The agent's own rule refused a command.", denied));
  return events;
}

/** What an event's `data` can be when several actions share the event; undefined = any object. */
function eitherOf(schemas: (z.ZodType | undefined)[]): z.ZodType | undefined {
  const known = [...new Set(schemas)].filter((schema) => schema !== undefined);
  if (known.length === 0 || schemas.includes(undefined)) return undefined;
  return known.length === 1 ? known[0] : z.union(known);
}

const QUERIES: Readonly<Record<QueryKind, { description: string; schema: z.ZodType }>> = {
  get: { description: 'One live entity as it stands.', schema: GetQuery },
  history: { description: 'Events of one entity, newest first.', schema: HistoryQuery },
  list: { description: 'Live entities in the order of their ids.', schema: ListQuery },
  outcome: { description: 'What became of a command, by its id.', schema: OutcomeQuery },
};

/** The answers to the queries, with the state that this agent's entities have. */
function resultSchemas(state: z.ZodType, view: z.ZodObject | undefined): Record<QueryKind, z.ZodType> {
  const entity = GetResult.extend({ ...view?.partial().shape, state });
  const event = HistoryEvent.extend({ state: state.nullable() });
  return {
    get: entity,
    history: HistoryResult.extend({ events: z.array(event) }),
    list: ListResult.extend({ entities: z.array(entity) }),
    outcome: OutcomeResult,
  };
}
