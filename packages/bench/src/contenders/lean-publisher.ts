import { createInbox, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';

export interface Stored {
  readonly sequence: number;
  /** The stream had a message of this id already. */
  readonly isDuplicate: boolean;
}

/** @param headers lines, each with its end */
export type LeanPublish = (subject: string, body: string, headers: string) => Promise<Stored>;

interface Ack {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly description: string };
}

const encoder = new TextEncoder();

/** Acknowledgements come to one inbox and find their publish by a token: the leanest way that the client allows. */
export function leanPublisher(connection: NatsConnection): LeanPublish {
  const inbox = `${createInbox()}.`;
  const waiting = new Map<string, { resolve: (stored: Stored) => void; reject: (error: Error) => void }>();
  connection.subscribe(`${inbox}*`, {
    callback: (_error, message) => {
      const token = message.subject.slice(inbox.length);
      const publish = waiting.get(token);
      waiting.delete(token);
      const { seq, duplicate = false, error } = message.json<Ack>();
      if (seq !== undefined && error === undefined) publish?.resolve({ sequence: seq, isDuplicate: duplicate });
      else publish?.reject(new Error(error?.description ?? 'no sequence'));
    },
  });
  let next = 0;
  return async (subject, body, lines) =>
    await new Promise((resolve, reject) => {
      const token = String(next++);
      waiting.set(token, { resolve, reject });
      // The client only calls `encode`; its own header type costs more than the rest of a publish.
      const bytes = encoder.encode(`NATS/1.0\r\n${lines}\r\n`);
      const headers = { encode: () => bytes } as unknown as MsgHdrs;
      connection.publish(subject, body, { ...(lines !== '' && { headers }), reply: inbox + token });
    });
}
