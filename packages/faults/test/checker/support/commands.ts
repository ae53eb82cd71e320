/** What simulated clients ask for: enough of each for commits, conflicts and every refusal to come about. */
import type { JsonObject } from '@meshforge/protocol';
import type { Random } from '../../../src/random.ts';

export interface Wish {
  agent: string;
  action: string;
  entityId: string;
  data: JsonObject;
}

const ORDERS = ['order-1', 'order-2', 'order-3'];

/** @param waiting an owner who waits, and for what */
export function anyWish(
  random: Random,
  client: string,
  entities: number,
  waiting?: Pick<Wish, 'entityId'> & { owner: string },
): Wish {
  if (waiting !== undefined && random.chance(0.1)) {
    return { agent: 'lock', action: 'cancel', entityId: waiting.entityId, data: { owner_id: waiting.owner } };
  }
  const entityId = `thing-${random.int(1, entities)}`;
  return random.chance(0.55) ? stockWish(random, entityId) : lockWish(random, client, entityId);
}

function stockWish(random: Random, entityId: string): Wish {
  const action = random.pick([
    'create',
    'update',
    'update',
    'adjust',
    'adjust',
    'adjust',
    'reserve',
    'reserve',
    'release',
    'fulfil',
    'delete',
  ]);
  const order = random.pick(ORDERS);
  const data: Record<string, JsonObject> = {
    create: { name: 'bolt', quantity: random.int(0, 9) },
    update: random.chance(0.5) ? { name: `bolt ${random.int(1, 99)}` } : { quantity: random.int(0, 12) },
    adjust: { delta: random.int(1, 6) * (random.chance(0.5) ? 1 : -1) },
    reserve: { order_id: order, quantity: random.int(1, 5) },
    release: { order_id: order },
    fulfil: { order_id: order },
    delete: {},
  };
  return { agent: 'inventory', action, entityId, data: data[action] ?? {} };
}

function lockWish(random: Random, client: string, entityId: string): Wish {
  const action = random.pick([
    ...Array<string>(8).fill('acquire'),
    'refresh',
    'refresh',
    ...Array<string>(5).fill('release'),
    'cancel',
    'break',
  ]);
  const ttl = { ttl_ms: random.int(500, 3_000) };
  const token = random.chance(0.15) ? { fencing_token: random.int(1, 9) } : {};
  const data: Record<string, JsonObject> = {
    acquire: { owner_id: client, ...(random.chance(0.9) ? ttl : {}), ...drawWait(random) },
    refresh: { owner_id: client, ...token, ...ttl },
    release: { owner_id: client, ...token },
    cancel: { owner_id: `client-${random.int(1, 5)}` },
    break: { reason: 'it is time', ...(random.chance(0.5) ? { operator_id: client } : {}) },
  };
  return { agent: 'lock', action, entityId, data: data[action] ?? {} };
}

function drawWait(random: Random): JsonObject {
  if (random.chance(0.4)) return {};
  return { wait_ms: random.int(100, 3_000), ...(random.chance(0.3) ? { take_up_ms: 500 } : {}) };
}
