import { once } from 'node:events';
import { createInbox, type Msg, type NatsConnection } from '@nats-io/nats-core';

/** A stream with its messages and consumers, as `nats stream backup` takes it. */
export interface Backup {
  readonly stream: string;
  /** Of the last message in it. */
  readonly lastSequence: number;
  /** Configuration and state, as the server gave them. */
  readonly request: object;
  readonly chunks: readonly Uint8Array[];
}

interface Answer {
  readonly error?: { readonly description: string };
  readonly config: object;
  readonly state: { readonly last_seq: number };
  readonly deliver_subject: string;
}

const timeoutMs = 5_000;

/** @throws Error */
export async function backUp(connection: NatsConnection, stream: string): Promise<Backup> {
  const inbox = createInbox();
  const chunks: Uint8Array[] = [];
  const events = new EventTarget();
  const subscription = connection.subscribe(inbox, {
    callback: (error, chunk) => {
      // Each is sent when the one before it was answered.
      if (error === null && (chunk.reply ?? '') !== '') chunk.respond();
      if (error === null && chunk.data.length > 0) chunks.push(chunk.data);
      else events.dispatchEvent(new Event('end'));
    },
  });
  try {
    const end = once(events, 'end', { signal: AbortSignal.timeout(timeoutMs) });
    end.catch(() => {});
    const { config, state } = await ask(connection, `SNAPSHOT.${stream}`, {
      deliver_subject: inbox,
      no_consumers: false,
    });
    await end;
    return { stream, lastSequence: state.last_seq, request: { config, state }, chunks };
  } finally {
    subscription.unsubscribe();
  }
}

/** Creates the stream again; there must be none of its name. @throws Error */
export async function restore(connection: NatsConnection, { chunks, request, stream }: Backup): Promise<void> {
  const { deliver_subject: to } = await ask(connection, `RESTORE.${stream}`, request);
  for (const chunk of chunks) refuse(await connection.request(to, chunk, { timeout: timeoutMs }));
  refuse(await connection.request(to, '', { timeout: timeoutMs }));
}

async function ask(connection: NatsConnection, what: string, request: object): Promise<Answer> {
  return refuse(await connection.request(`$JS.API.STREAM.${what}`, JSON.stringify(request), { timeout: timeoutMs }));
}

function refuse(answer: Msg): Answer {
  const said = answer.data.length === 0 ? ({} as Answer) : answer.json<Answer>();
  if (said.error !== undefined) throw new Error(said.error.description);
  return said;
}
