import {
  commandWildcard,
  eventSubject,
  HEADERS,
  inventoryContract,
  lockContract,
  parseSubject,
} from '@meshforge/protocol';
import { connect, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';

const contracts = [inventoryContract, lockContract];

/** How a fake agent answers, whatever it is asked. */
export type Temper =
  /** Everything succeeds, as version 1, and is announced. */
  | 'always yes'
  /** Everything is refused as broken. */
  | 'always no'
  /** Pings are answered, nothing else. */
  | 'silent';

export interface FakeAgents {
  /** Subjects of the commands taken in so far, with their entity. */
  readonly commands: readonly string[];
  stop(): Promise<void>;
}

/** Both agents of the mesh, as far as discovery can tell. */
export async function startFakeAgents(url: string, temper: Temper, delayMs = 0): Promise<FakeAgents> {
  const connection = await connect({ servers: url });
  const commands: string[] = [];
  for (const { name } of contracts) {
    connection.subscribe(`$SRV.PING.${name}`, { callback: (_, message) => void message.respond('{}') });
    const answer = (message: Msg): void => {
      setTimeout(() => respond(connection, temper, message), delayMs);
    };
    connection.subscribe(`$SRV.INFO.${name}`, { callback: (_, message) => answer(message) });
    const subject = commandWildcard(name);
    connection.subscribe(subject.replace('cmd', 'qry'), { callback: (_, message) => answer(message) });
    connection.subscribe(subject, {
      callback: (_, message) => {
        commands.push(`${message.subject} ${String(bodyOf(message)['entity_id'])}`);
        answer(message);
      },
    });
  }
  await connection.flush();
  return { commands, stop: async () => await connection.close() };
}

function respond(connection: NatsConnection, temper: Temper, message: Msg): void {
  if (temper === 'silent' || connection.isClosed()) return;
  const body = bodyOf(message);
  if (temper === 'always no') {
    const refused = headers();
    refused.set(HEADERS.errorCode, '400');
    refused.set(HEADERS.error, 'no');
    const payload = { entity_id: null, action: 'any', code: 'invalid_command', reason: 'no' };
    message.respond(JSON.stringify({ event: 'evt.inventory.rejected', payload }), { headers: refused });
    return;
  }
  const entityId = typeof body['entity_id'] === 'string' && body['entity_id'] !== '' ? body['entity_id'] : 'nothing';
  const payload = { entity_id: entityId, entity_version: 1, state: stateFor(message.subject, body['data']) };
  if (message.subject.startsWith('qry.')) message.respond(JSON.stringify({ ...payload, events: [], entities: [] }));
  else announce(connection, message, payload);
}

function announce(connection: NatsConnection, message: Msg, payload: object): void {
  const parsed = parseSubject(message.subject);
  if (parsed?.kind !== 'command') {
    message.respond('{}');
    return;
  }
  const contract = parsed.agent === 'lock' ? lockContract : inventoryContract;
  const actions: Readonly<Record<string, { event: string }>> = contract.actions;
  const event = eventSubject(contract.name, actions[parsed.action]?.event ?? 'updated');
  connection.publish(event, JSON.stringify(payload));
  message.respond(JSON.stringify({ event, payload }));
}

function stateFor(subject: string, data: unknown): object {
  const asked = typeof data === 'object' && data !== null ? data : {};
  if (!subject.includes('.lock.')) return { name: 'smoke', quantity: 0, reserved: 0, reservations: {}, ...asked };
  const times = { acquired_at: '2026-01-01T00:00:00.000Z', expires_at: '2026-01-01T00:00:30.000Z' };
  return { owner_id: 'ann', fencing_token: 1, ...times };
}

function bodyOf(message: Msg): Record<string, unknown> {
  try {
    return message.json<Record<string, unknown>>();
  } catch {
    return {};
  }
}
