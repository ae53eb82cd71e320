/** What the waiting room reads of held commands, and what it says in their name. */
import { HEADERS, type JsonObject, type LockDenial, type LockState } from '@meshforge/protocol';
import type { AgentHost, HeldCommand, StoreOutcome } from '@meshforge/runtime';
import { keyOf } from './queue.ts';

/** How long a command may wait, in milliseconds; 0 = not at all. */
export function waitMsOf(action: string, data: JsonObject): number {
  return action === 'acquire' ? Number(data['wait_ms'] ?? 0) : 0;
}

export function ownerOf({ data }: Pick<HeldCommand, 'data'>): string {
  return data['owner_id'] as string;
}

type InternalCommand = Parameters<AgentHost['execute']>[0];

const keys = new WeakMap<object, string>();

/** Of the owner; made once for each command, since whoever comes first is looked for among all of them. */
export function ownerKeyOf(command: HeldCommand): string {
  let key = keys.get(command);
  if (key === undefined) keys.set(command, (key = keyOf(ownerOf(command))));
  return key;
}

let sent = 0;

/** A command of the lock manager itself, for the sake of one that waits. */
export function internally(
  replica: string,
  { commandId, entityId, headers }: Pick<HeldCommand, 'commandId' | 'entityId' | 'headers'>,
  action: 'queue' | 'leave' | 'withdraw',
  data: JsonObject,
): InternalCommand {
  const id = `${replica}.${++sent}`;
  const own: [string, string][] = [[HEADERS.commandId, id]];
  if (commandId !== '') own.push([HEADERS.causationId, commandId]);
  const others = headers.filter(([name]) => name !== HEADERS.commandId && name !== HEADERS.causationId);
  return { entityId, action, data, commandId: id, headers: [...own, ...others] };
}

/** The waiter's own command, as it is decided when its turn has come: under its own id, so that it commits once. */
export function grantOf({ entityId, data, lease, commandId, headers, until }: HeldCommand): InternalCommand {
  const { wait_ms: _waitMs, ...rest } = data;
  return { entityId, action: 'grant', lease, data: { ...rest, until }, commandId, headers };
}

/** A refusal that no rule has made. */
export function refused(
  { action, data, entityId }: HeldCommand,
  code: (LockDenial & 'cancelled') | 'unavailable',
  reason: string,
): StoreOutcome {
  if (code === 'unavailable') {
    const payload = JSON.stringify({ entity_id: entityId, action, code, reason });
    return { kind: 'unavailable', event: 'rejected', payload, code, reason };
  }
  const denial = { entity_id: entityId, owner_id: data['owner_id'], current_owner_id: null, expires_at: null };
  return { kind: 'denied', event: 'denied', payload: JSON.stringify({ ...denial, code, reason }), code, reason };
}

/** What is told to one whose wait is over. */
export function heldStill(outcome: StoreOutcome): StoreOutcome {
  if (outcome.kind !== 'denied' || outcome.code !== 'not_waiting') return outcome;
  const payload = { ...(JSON.parse(outcome.payload) as JsonObject), code: 'held' };
  return { ...outcome, code: 'held', payload: JSON.stringify(payload) };
}

/** Who holds the lock by what a commit says of it. */
export function holderIn({ payload }: Extract<StoreOutcome, { kind: 'committed' | 'replayed' }>): string | null {
  return (JSON.parse(payload) as { state: LockState }).state.owner_id;
}

/** The lease that an outcome has just granted; undefined for any other, as for one that extends a lease. */
export function takenNow(outcome: StoreOutcome): { owner_id: string; fencing_token: number } | undefined {
  if (outcome.kind !== 'committed' || outcome.event !== 'acquired') return undefined;
  const { entity_version: version, state } = JSON.parse(outcome.payload) as {
    entity_version: number;
    state: LockState;
  };
  const { fencing_token: token, owner_id: owner } = state;
  return owner === null || token !== version ? undefined : { owner_id: owner, fencing_token: token };
}
