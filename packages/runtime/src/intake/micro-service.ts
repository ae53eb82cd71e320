/** The agent as a NATS micro service: discovery, schemas in the endpoints' metadata, statistics. */
import {
  commandsOf,
  commandSubject,
  commandWildcard,
  eventSubject,
  jsonSchemas,
  QUERY_KINDS,
  querySubject,
  queryWildcard,
  replicaCommandWildcard,
} from '@meshforge/protocol';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { Svcm } from '@nats-io/services';
import type { AnyAgent } from '../core/agent.ts';
import { dispatchingConnection } from './dispatching-connection.ts';
import type { CommandStats } from './stats.ts';

export interface MicroServiceOptions {
  agent: AnyAgent;
  connection: NatsConnection;
  version: string;
  inboxPrefix: string;
  stats: CommandStats;
  onCommand: (action: string, message: Msg) => void;
  onQuery: (kind: string, message: Msg) => void;
}

/** What the runtime does with a started service. */
export interface MicroService {
  /** Takes nothing in any more; resolves when the server knows. */
  stop(): Promise<void>;
  /** Resolves when it has stopped, with the reason if that was a fault such as a missing permission. */
  readonly stopped: Promise<Error | null>;
}

/** @throws TypeError where the agent's schemas use a type that JSON does not have */
export async function startMicroService(options: MicroServiceOptions): Promise<MicroService> {
  const { agent, connection, inboxPrefix, stats, onCommand, onQuery } = options;
  const queue = agent.name;
  const { commands, events, queries } = jsonSchemas(agent);
  const dispatching = dispatchingConnection(
    connection,
    [
      { subject: commandWildcard(agent.name), onUnknown: (message) => onCommand(lastToken(message.subject), message) },
      { subject: queryWildcard(agent.name), onUnknown: (message) => onQuery(lastToken(message.subject), message) },
    ],
    queue,
    inboxPrefix,
  );
  const service = await new Svcm(dispatching).add({
    name: agent.name,
    version: options.version,
    description: agent.description ?? '',
    queue,
    metadata: { meshforge: options.version },
    statsHandler: (endpoint) => Promise.resolve(stats.of(lastToken(endpoint.subject)) ?? null),
  });
  for (const [action, { event, description }] of commandsOf(agent.actions)) {
    const subject = commandSubject(agent.name, action);
    service.addEndpoint(action, {
      subject,
      queue,
      metadata: {
        kind: 'command',
        event,
        description: description ?? '',
        request_schema: JSON.stringify(commands[subject]),
        response_schema: JSON.stringify(events[eventSubject(agent.name, event)]),
      },
      handler: (error, message) => {
        if (error === null) onCommand(action, message);
      },
    });
  }
  for (const kind of QUERY_KINDS) {
    const subject = querySubject(agent.name, kind);
    service.addEndpoint(`query_${kind}`, {
      subject,
      queue,
      metadata: { kind: 'query', request_schema: JSON.stringify(queries[subject]) },
      handler: (error, message) => {
        if (error === null) onQuery(kind, message);
      },
    });
  }
  // A client that knows the replicas sends the commands on one entity to the same one, whose memory of it is fresh then.
  const own = connection.subscribe(replicaCommandWildcard(agent.name, service.info().id), {
    callback: (error, message) => {
      if (error === null) onCommand(message.subject.split('.')[2] ?? '', message);
    },
  });
  return {
    stop: async () => {
      own.unsubscribe();
      await service.stop();
    },
    stopped: service.stopped,
  };
}

function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1);
}
