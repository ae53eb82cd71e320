/** Owners that wait for a lock, each with an inbox of its own: so every answer is seen, also a second one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { commandSubject, encode, HEADERS, replicaCommandSubject, type JsonObject } from '@meshforge/protocol';
import { expect } from 'vitest';
import { until } from '../../../../packages/runtime/test/support/until.ts';
import {
  createInbox,
  headers as newHeaders,
  sendCommand,
  type RawReply,
} from '../../../../packages/runtime/test/support/wire.ts';
import { denial, LOCKS, viewLock, type Connection, type LockEvent } from './locks.ts';

export interface WaitOptions {
  waitMs?: number;
  ttl?: number;
  takeUp?: number;
  commandId?: string;
  expectedVersion?: number;
  headers?: Readonly<Record<string, string>>;
  /** How often it is sent again until it is answered, in milliseconds, as our client does. Default: never. */
  repeatMs?: number;
  /** Id of the replica that gets it first. Default: whichever takes it. */
  replica?: string;
}

/** A command that waits for its answer. */
export interface Waiter {
  owner: string;
  commandId: string;
  sentAt: number;
  /** Every answer that has come, with the moment. */
  answers: { reply: RawReply; at: number }[];
  /** The first answer. */
  answer: Promise<RawReply>;
  /** Nobody takes answers at its inbox from now on. */
  vanish: () => void;
  isGone: () => boolean;
  /** Sends the same command once more, for an answer at the same inbox. */
  again: () => void;
  /** How often it was sent. */
  sends: () => number;
}

let sent = 0;

/** Sends an `acquire` that may wait. The inbox stays open, so that the server knows that somebody listens. */
export function startWaiting(
  connection: Connection,
  resource: string,
  owner: string,
  options: WaitOptions = {},
): Waiter {
  const {
    waitMs = 30_000,
    ttl,
    takeUp,
    commandId = `wait-${owner}-${++sent}`,
    expectedVersion,
    headers = {},
    repeatMs,
    replica,
  } = options;
  const answers: Waiter['answers'] = [];
  let first = (_reply: RawReply): void => {};
  const answer = new Promise<RawReply>((resolve) => (first = resolve));
  const inbox = createInbox();
  const subscription = connection.subscribe(inbox, {
    callback: (error, message) => {
      // No lock manager was there to take it.
      if (error !== null || message.data.length === 0) return;
      // It stops: who sends again asks another one.
      if (repeatMs !== undefined && message.headers?.get(HEADERS.errorCode) === '503') return;
      const { event, payload } = message.json<{ event: string; payload: JsonObject }>();
      const reply: RawReply = {
        event,
        payload,
        commandId: message.headers?.get(HEADERS.commandId) ?? '',
        replayed: message.headers?.get(HEADERS.replayed) === 'true',
        errorCode: Number(message.headers?.get(HEADERS.errorCode) || 0),
        headers: message.headers,
      };
      answers.push({ reply, at: performance.now() });
      first(reply);
    },
  });
  const lines = newHeaders();
  lines.set(HEADERS.commandId, commandId);
  for (const [name, value] of Object.entries(headers)) lines.set(name, value);
  const data = { owner_id: owner, ttl_ms: ttl, wait_ms: waitMs, take_up_ms: takeUp };
  const body = encode({ entity_id: resource, expected_version: expectedVersion, data });
  const sentAt = performance.now();
  let sends = 0;
  const send = (subject = commandSubject(LOCKS, 'acquire')): void => {
    sends++;
    connection.publish(subject, body, { headers: lines, reply: inbox });
  };
  send(replica === undefined ? undefined : replicaCommandSubject(LOCKS, 'acquire', replica));
  const repeat = async (ms: number): Promise<void> => {
    for (;;) {
      await sleep(ms);
      if (answers.length > 0 || subscription.isClosed() || connection.isClosed()) return;
      send();
    }
  };
  if (repeatMs !== undefined) void repeat(repeatMs);
  return {
    owner,
    commandId,
    sentAt,
    answers,
    answer,
    vanish: () => subscription.unsubscribe(),
    isGone: () => subscription.isClosed(),
    again: () => send(),
    sends: () => sends,
  };
}

/** Resolves when so many wait for a lock. */
export async function queued(connection: Connection, resource: string, waiters: number): Promise<void> {
  await until(`${waiters} wait for ${resource}`, async () => {
    const view = await viewLock(connection, resource).catch(() => undefined);
    return view?.waiters === waiters;
  });
}

/**
 * The owners who began to wait while nobody was served, in the order of their places. It is that of their arrival by the clocks of
 * the replicas, which differ by some milliseconds, and by more on a busy machine.
 */
export function orderOf(changes: readonly LockEvent[]): string[] {
  const owners: string[] = [];
  for (const { event, data } of changes) {
    if (event === 'queued') owners.splice((data?.position ?? 1) - 1, 0, data?.owner_id ?? '');
  }
  return owners;
}

/** Ids of the lock managers that serve. */
export async function replicaIds(connection: Connection): Promise<string[]> {
  const inbox = createInbox();
  const ids = new Set<string>();
  const subscription = connection.subscribe(inbox, {
    callback: (_error, message) => void (message.data.length > 0 && ids.add(message.json<{ id: string }>().id)),
  });
  connection.publish(`$SRV.PING.${LOCKS}`, '', { reply: inbox });
  await sleep(500);
  subscription.unsubscribe();
  return [...ids];
}

export function cancel(connection: Connection, resource: string, owner: string): Promise<RawReply> {
  return sendCommand(connection, LOCKS, 'cancel', { entityId: resource, data: { owner_id: owner } });
}

export function breakLock(
  connection: Connection,
  resource: string,
  reason: string,
  operator?: string,
): Promise<RawReply> {
  return sendCommand(connection, LOCKS, 'break', { entityId: resource, data: { reason, operator_id: operator } });
}

export function expectAnsweredOnce(waiters: readonly Waiter[]): void {
  const odd = waiters
    .filter(({ answers }) => answers.length !== 1)
    .map(({ owner, answers }) => `${owner}: ${answers.map(({ reply }) => tellingOf(reply)).join(', ') || 'no answer'}`);
  expect(odd).toEqual([]);
}

/** An answer in one word. */
export function tellingOf(reply: RawReply): string {
  if (reply.event === 'evt.lock.denied') return denial(reply).code;
  return reply.event === 'evt.lock.rejected' ? String(reply.payload['code']) : reply.event.slice('evt.lock.'.length);
}
