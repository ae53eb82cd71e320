/** Those who wait for locks in a simulated mesh: held, queued by the real rules, served first come first, and answered. */
import { afterWaiting, keyOfOwner, placesIn } from '../../../src/checker/queue.ts';
import { ruling, type Ruling } from '../../../src/checker/ruling.ts';
import type { JsonObject } from '@meshforge/protocol';
import type { Logged, Sent } from '../../../src/history.ts';
import type { SimulatedLog } from './simulated-log.ts';

export interface Waiter {
  sent: Sent;
  until: number;
  committed: (entry: Logged) => void;
  refused: (payload: JsonObject) => void;
}

export class SimulatedWaitingRoom {
  readonly #log: SimulatedLog;
  readonly #announce: (entry: Logged) => void;
  #held: Waiter[] = [];
  #own = 0;

  constructor(log: SimulatedLog, announce: (entry: Logged) => void) {
    this.#log = log;
    this.#announce = announce;
  }

  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  get first(): { entityId: string; owner: string } | undefined {
    const sent = this.#held[0]?.sent;
    return sent && { entityId: sent.entityId, owner: sent.data['owner_id'] as string };
  }

  has({ commandId }: Sent): boolean {
    return this.#held.some(({ sent }) => sent.commandId === commandId);
  }

  /** False: the lock can be had. */
  admit(waiter: Waiter, now: number): boolean {
    const { sent, until } = waiter;
    const owner = sent.data['owner_id'] as string;
    const queued = this.#execute(sent, 'queue', { owner_id: owner, since: now, until }, now);
    if (queued === 'cancelled') {
      this.#cancel([waiter]);
      return true;
    }
    if (queued !== 'committed') return false;
    this.#cancel(this.#held.filter((other) => isOf(other, sent.entityId, owner)));
    this.#held.push(waiter);
    return true;
  }

  /** A wait was cancelled by a command. */
  cancelled(entityId: string, owner: string): void {
    this.#cancel(this.#held.filter((waiter) => isOf(waiter, entityId, owner)));
  }

  /** Serves whoever can be; those whose wait is over are answered. @param isDue whether a waiter has its turn now */
  serve(now: number, isDue: () => boolean): void {
    for (const waiter of this.#held) {
      const { sent, until } = waiter;
      const { notes, state } = this.#log.entity(sent.entityId);
      if (!isDue()) continue;
      const owner = sent.data['owner_id'] as string;
      const first = placesIn(notes).find((place) => place.until > now);
      const isFree = state?.['owner_id'] === null && first?.key === keyOfOwner(owner);
      if (!isFree && until > now) continue;
      if (!isFree) this.#execute(sent, 'leave', { key: keyOfOwner(owner), owner_id: owner }, now);
      const { wait_ms: _waitMs, ...data } = sent.data;
      const grant: Sent = { ...sent, action: 'grant', data: { ...data, until } };
      const ruled = afterWaiting(ruling(this.#log.agent.agent, this.#log.entity(sent.entityId), grant, now));
      this.#held = this.#held.filter((other) => other !== waiter);
      if (ruled.kind === 'commit') waiter.committed(this.#commit(sent, sent.commandId, undefined, ruled, now));
      else if (ruled.kind === 'refusal') waiter.refused(payloadOf(sent, ruled));
    }
  }

  /** Takes a grant back that nobody can be told of. */
  withdraw({ sent }: Pick<Waiter, 'sent'>, token: unknown, now: number): void {
    this.#execute(sent, 'withdraw', { owner_id: sent.data['owner_id'], fencing_token: token }, now);
  }

  #cancel(waiters: readonly Waiter[]): void {
    this.#held = this.#held.filter((waiter) => !waiters.includes(waiter));
    for (const { refused, sent } of waiters) {
      const denial = { owner_id: sent.data['owner_id'], current_owner_id: null, expires_at: null };
      refused({ entity_id: sent.entityId, ...denial, code: 'cancelled', reason: 'it was cancelled' });
    }
  }

  /** @returns 'committed', or why it was not */
  #execute(sent: Sent, action: string, data: JsonObject, now: number): string {
    const commandId = `agent.${++this.#own}`;
    const own: Sent = { ...sent, action, data, commandId };
    const ruled = ruling(this.#log.agent.agent, this.#log.entity(sent.entityId), own, now);
    if (ruled.kind === 'malformed') throw new Error(ruled.reason);
    if (ruled.kind === 'refusal') return ruled.code;
    this.#commit(sent, commandId, sent.commandId, ruled, now);
    return 'committed';
  }

  #commit(
    { entityId }: Sent,
    commandId: string,
    causedBy: string | undefined,
    ruled: Ruling & { kind: 'commit' },
    timeMs: number,
  ): Logged {
    const at = { entityId, commandId, timeMs, ...(causedBy === undefined ? {} : { causedBy }) };
    const entry = this.#log.commit(at, ruled);
    this.#announce(entry);
    return entry;
  }
}

function payloadOf(sent: Sent, { code, details, reason }: Ruling & { kind: 'refusal' }): JsonObject {
  return { entity_id: sent.entityId, ...details, code, reason };
}

function isOf({ sent }: Waiter, entityId: string, owner: string): boolean {
  return sent.entityId === entityId && sent.data['owner_id'] === owner;
}
