/** The wire as any NATS client sees it: nothing of the runtime's own client is in between. */
import { commandSubject, encode, HEADERS, querySubject, type JsonObject, type QueryKind } from '@meshforge/protocol';
import { headers as newHeaders, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';

/** So that tests of other packages need no NATS client of their own. */
export { createInbox, headers, type NatsConnection } from '@nats-io/nats-core';

/** @param servers URLs, separated by commas */
export function openConnection(servers: string): Promise<NatsConnection> {
  return connect({ servers: servers.split(','), maxReconnectAttempts: -1, reconnectTimeWait: 100 });
}

export interface RawCommand {
  entityId: string;
  expectedVersion?: number;
  lease?: { resource: string; fencing_token: number };
  data?: JsonObject;
  commandId?: string;
  /** Further headers. */
  headers?: Readonly<Record<string, string>>;
  /** Default 30,000. */
  timeoutMs?: number;
}

/** A reply as it came, and what stands in it. */
export interface RawReply {
  event: string;
  payload: JsonObject;
  commandId: string;
  replayed: boolean;
  /** `Nats-Service-Error-Code`; 0 when there is none. */
  errorCode: number;
  headers: MsgHdrs | undefined;
}

/** Sends a command once: no retry. Rejects when nobody answers. */
export async function sendCommand(
  connection: NatsConnection,
  agent: string,
  action: string,
  command: RawCommand,
): Promise<RawReply> {
  const { entityId, expectedVersion, lease, data, commandId, headers: further = {}, timeoutMs = 30_000 } = command;
  const headers = newHeaders();
  if (commandId !== undefined) headers.set(HEADERS.commandId, commandId);
  for (const [name, value] of Object.entries(further)) headers.set(name, value);
  const body = encode({ entity_id: entityId, expected_version: expectedVersion, lease, data });
  const message = await connection.request(commandSubject(agent, action), body, { headers, timeout: timeoutMs });
  const { event, payload } = message.json<{ event: string; payload: JsonObject }>();
  return {
    event,
    payload,
    commandId: message.headers?.get(HEADERS.commandId) ?? '',
    replayed: message.headers?.get(HEADERS.replayed) === 'true',
    errorCode: Number(message.headers?.get(HEADERS.errorCode) || 0),
    headers: message.headers,
  };
}

/** Sends a query once; the result, or the rejected reply, as it came. */
export async function sendQuery(
  connection: NatsConnection,
  agent: string,
  kind: QueryKind,
  query: JsonObject,
): Promise<{ body: JsonObject; errorCode: number }> {
  const message = await connection.request(querySubject(agent, kind), encode(query), { timeout: 30_000 });
  return { body: message.json<JsonObject>(), errorCode: Number(message.headers?.get(HEADERS.errorCode) || 0) };
}

/** Ids of the instances of an agent that answer `$SRV.PING.<agent>` now. */
export async function pingAgents(connection: NatsConnection, agent: string): Promise<string[]> {
  const ids = new Set<string>();
  try {
    const answers = await connection.requestMany(`$SRV.PING.${agent}`, '', { strategy: 'stall', maxWait: 1_000 });
    for await (const answer of answers) ids.add(answer.json<{ id: string }>().id);
  } catch {
    // Nobody is there, or the connection is down for the moment.
  }
  return [...ids];
}
