/** A lock manager that does as a test says: late, silent, contrary. It is a plain subscription on a real server. */
import {
  commandWildcard,
  encode,
  eventSubject,
  HEADERS,
  lockContract,
  type LeaseTaken,
  type LockDenial,
} from '@meshforge/protocol';
import { headers as newHeaders, type Msg } from '@nats-io/nats-core';
import { openConnection } from '../support/wire.ts';

const LOCKS = lockContract.name;

/** A command as it came, and the answers to it. */
export interface Asked {
  action: string;
  resource: string;
  data: { owner_id: string; ttl_ms?: number; wait_ms?: number; take_up_ms?: number; fencing_token?: number };
  commandId: string;
  /** The inbox that it is answered at. */
  reply: string;
  /** @param lastsMs from a time long ago on. Default: as long as the shorter of what was asked for */
  grant(fencingToken: number, lastsMs?: number): void;
  /** As one that was granted before. */
  replay(fencingToken: number): void;
  /** As one that stops. */
  sendBack(): void;
  deny(code: LockDenial, further?: { retry_after_ms?: number; waiters?: number }): void;
}

export interface ScriptedLockManager {
  /** All commands, in the order in which they came. */
  asked: Asked[];
  /** What it does with a command. Default: nothing. */
  script: (command: Asked) => unknown;
  /** Says that a lease has expired, as the server would. @param version default: that of a first grant */
  expire(resource: string, fencingToken: number, version?: number): void;
  /** Says that a lease was taken from its holder. */
  take(resource: string, fencingToken: number, taken: LeaseTaken): void;
  close(): Promise<void>;
}

export async function startScriptedLockManager(url: string): Promise<ScriptedLockManager> {
  const connection = await openConnection(url);
  const manager: ScriptedLockManager = {
    asked: [],
    script: () => {},
    expire: (resource, fencingToken, version = fencingToken) => {
      const headers = newHeaders();
      headers.set('Nats-Subject', `ent.lock.${resource}.x.expired`);
      const payload = { entity_id: resource, entity_version: version, state: state('ann', fencingToken) };
      connection.publish(eventSubject(LOCKS, 'expired'), encode(payload), { headers });
    },
    take: (resource, fencingToken, taken) => {
      const lost = { entity_id: resource, fencing_token: fencingToken, ...taken };
      connection.publish(eventSubject(LOCKS, 'lost'), encode(lost));
    },
    close: () => connection.close(),
  };
  connection.subscribe(commandWildcard(LOCKS), {
    callback: (error, message) => {
      if (error !== null) return;
      const command = read(message);
      manager.asked.push(command);
      manager.script(command);
    },
  });
  await connection.flush();
  return manager;
}

function read(message: Msg): Asked {
  const action = message.subject.slice(message.subject.lastIndexOf('.') + 1);
  const { entity_id: resource, data } = message.json<{ entity_id: string; data: Asked['data'] }>();
  const answer = (event: string, payload: object, isReplayed = false): void => {
    const headers = newHeaders();
    if (isReplayed) headers.set(HEADERS.replayed, 'true');
    message.respond(encode({ event: eventSubject(LOCKS, event), payload }), { headers });
  };
  const lease = (fencingToken: number, lastsMs: number): object => ({
    entity_id: resource,
    entity_version: fencingToken,
    state: state(action === 'release' ? null : data.owner_id, fencingToken, lastsMs),
  });
  return {
    action,
    resource,
    data,
    commandId: message.headers?.get(HEADERS.commandId) ?? '',
    reply: message.reply ?? '',
    grant: (fencingToken, lastsMs = data.take_up_ms ?? data.ttl_ms ?? 30_000) =>
      answer(action === 'release' ? 'released' : 'acquired', lease(fencingToken, lastsMs)),
    replay: (fencingToken) => answer('acquired', lease(fencingToken, data.ttl_ms ?? 30_000), true),
    sendBack: () =>
      answer('rejected', { entity_id: resource, action, code: 'unavailable', reason: 'it stops: send it again' }),
    deny: (code, further = {}) =>
      answer('denied', {
        entity_id: resource,
        owner_id: data.owner_id,
        code,
        reason: `it is ${code}`,
        current_owner_id: 'bob',
        expires_at: '2026-01-01T00:00:30.000Z',
        ...further,
      }),
  };
}

/** Times of long ago: whoever goes by them is wrong. */
function state(owner: string | null, fencingToken: number, lastsMs = 30_000): object {
  return {
    owner_id: owner,
    fencing_token: fencingToken,
    acquired_at: '2026-01-01T00:00:00.000Z',
    expires_at: new Date(Date.UTC(2026, 0, 1) + lastsMs).toISOString(),
  };
}
