/** Bad input: what is sent, and what may be answered. */
import { headers as newHeaders, type NatsConnection } from '@nats-io/nats-core';
import { commandSubject, queuedCommandSubject } from '@meshforge/protocol';

export interface Garbage {
  readonly name: string;
  /** Codes of which the answer has one; empty: there is none to wait for. */
  readonly expects: readonly string[];
  /** Where a message is lost as well, it costs a command of somebody else: see `a durable command that is a schedule`. */
  readonly isHarmful: boolean;
  /** @returns the code of the answer */
  send(connection: NatsConnection): Promise<string | undefined>;
}

const ANSWER_MS = 3_000;

function asked(name: string, subject: string, body: string, expects: readonly string[]): Garbage {
  return {
    name,
    expects,
    isHarmful: false,
    send: async (connection) => {
      const answer = await connection.request(subject, body, { timeout: ANSWER_MS });
      return answer.json<{ payload?: { code?: string } }>().payload?.code;
    },
  };
}

/** Nobody waits for what becomes of it. */
function said(name: string, send: (connection: NatsConnection) => void, isHarmful = false): Garbage {
  return {
    name,
    expects: [],
    isHarmful,
    send: (connection) => {
      send(connection);
      return Promise.resolve(undefined);
    },
  };
}

const ADD = commandSubject('stock', 'add');
const INVALID = ['invalid_command'];
const body = (command: object): string => JSON.stringify(command);
/** A header that the client library cannot read: whoever looks at it without care breaks its own connection. */
const UNREADABLE = { encode: () => new TextEncoder().encode('NATS/1.0\r\nBa d: x\r\n\r\n') } as never;

export const GARBAGE: readonly Garbage[] = [
  asked('no JSON', ADD, '{', INVALID),
  asked('a list', ADD, '[]', INVALID),
  asked('no entity', ADD, body({ data: { by: 1 } }), INVALID),
  asked('an unknown key', ADD, body({ entity_id: 'a', expectedVersion: 1, data: { by: 1 } }), INVALID),
  asked('wrong data', ADD, body({ entity_id: 'a', data: { by: 'much' } }), INVALID),
  asked('an unknown action', 'cmd.stock.nonsense', body({ entity_id: 'a' }), ['unknown_action']),
  said('an unreadable header', (connection) => {
    connection.publish(ADD, body({ entity_id: 'a', data: { by: 1 } }), { headers: UNREADABLE });
  }),
  said('a durable command that is no JSON', (connection) => {
    connection.publish(queuedCommandSubject('stock', 'a', 'add'), '{');
  }),
  said('a durable command with an unreadable header', (connection) => {
    const subject = queuedCommandSubject('stock', 'b', 'add');
    connection.publish(subject, body({ entity_id: 'b', data: { by: 1 } }), { headers: UNREADABLE });
  }),
  said('a durable command for another entity than its subject', (connection) => {
    connection.publish(queuedCommandSubject('stock', 'a', 'add'), body({ entity_id: 'b', data: { by: 1 } }));
  }),
  // The server takes it away from its subject when it fires. If another command is in hand at that moment and its
  // delivery was lost, the server forgets that it has to deliver it again (2.15.1: a purge narrower than the filter of
  // the consumer moves the consumer's acknowledgement floor over what is in hand).
  said(
    'a durable command that is a schedule',
    (connection) => {
      const headers = newHeaders();
      headers.set('Nats-Schedule', '@at 2026-01-01T00:00:01.000Z');
      headers.set('Nats-Schedule-Target', queuedCommandSubject('stock', 'b', 'add'));
      // To an entity of its own: a schedule takes away what else stands on its subject.
      const subject = queuedCommandSubject('stock', 'odd', 'add');
      connection.publish(subject, body({ entity_id: 'odd', data: { by: 1 } }), { headers });
    },
    true,
  ),
  said('a request that is to be answered into the log', (connection) => {
    connection.publish(ADD, body({ entity_id: 'a', data: { by: 0.5 } }), { reply: 'ent.stock.a.0.added' });
  }),
];
