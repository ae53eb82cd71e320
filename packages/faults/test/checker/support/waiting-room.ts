/** Those who wait for locks in a simulated mesh: given places by the real rules, served first come first, and answered. */
import { keyOfCommand, keyOfOwner, placesIn } from '../../../src/checker/queue.ts';
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
  #waiters: Waiter[] = [];
  #own = 0;

  constructor(log: SimulatedLog, announce: (entry: Logged) => void) {
    this.#log = log;
    this.#announce = announce;
  }

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  get first(): { entityId: string; owner: string } | undefined {
    const sent = this.#waiters[0]?.sent;
    return sent && { entityId: sent.entityId, owner: sent.data['owner_id'] as string };
  }

  has({ commandId }: Sent): boolean {
    return this.#waiters.some(({ sent }) => sent.commandId === commandId);
  }

  /** False: the lock can be had. */
  admit(waiter: Waiter, since: number): boolean {
    const { sent, until } = waiter;
    const { commandId, data } = sent;
    const place = { owner_id: data['owner_id'], command: keyOfCommand(commandId), since, until };
    if (!this.#execute(sent, 'wait', place, since)) return false;
    this.#waiters.push(waiter);
    return true;
  }

  /** Serves whoever can be; those whose wait is over are answered. @param isDue whether a waiter has its turn now */
  serve(now: number, isDue: () => boolean): void {
    for (const waiter of this.#waiters) {
      const { sent, until } = waiter;
      const { notes, state } = this.#log.entity(sent.entityId);
      if (!isDue()) continue;
      const owner = sent.data['owner_id'] as string;
      const command = keyOfCommand(sent.commandId);
      const waiting = placesIn(notes).filter((place) => !place.hasEnded && place.until > now);
      const isFirst = state?.['owner_id'] === null && waiting[0]?.owner === keyOfOwner(owner);
      if (!isFirst && until > now && waiting.some((place) => place.command === command)) continue;
      if (until <= now) this.#execute(sent, 'leave', { owner_id: owner, command }, now);
      const { wait_ms: _waitMs, ...data } = sent.data;
      const grant: Sent = { ...sent, action: 'grant', data: { ...data, command, otherwise: 'held' } };
      const ruled = ruling(this.#log.agent.agent, this.#log.entity(sent.entityId), grant, now);
      if (ruled.kind === 'malformed') throw new Error(ruled.reason);
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      if (ruled.kind === 'commit') waiter.committed(this.#commit(sent, sent.commandId, undefined, ruled, now));
      else waiter.refused(payloadOf(sent, ruled));
    }
  }

  /** Takes a grant back that nobody can be told of. */
  withdraw({ sent }: Pick<Waiter, 'sent'>, token: unknown, now: number): void {
    this.#execute(sent, 'withdraw', { owner_id: sent.data['owner_id'], fencing_token: token }, now);
  }

  /** @returns whether it was committed */
  #execute(sent: Sent, action: string, data: JsonObject, now: number): boolean {
    const commandId = `agent.${++this.#own}`;
    const own: Sent = { ...sent, action, data, commandId };
    const ruled = ruling(this.#log.agent.agent, this.#log.entity(sent.entityId), own, now);
    if (ruled.kind === 'malformed') throw new Error(ruled.reason);
    if (ruled.kind === 'commit') this.#commit(sent, commandId, sent.commandId, ruled, now);
    return ruled.kind === 'commit';
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
