/** One message at least of every kind that PROTOCOL.md describes, by subject. */
import {
  inventoryContract,
  lockContract,
  type AgentContract,
  type AgentJsonSchemas,
  type JsonObject,
} from '../src/index.ts';

export interface Example {
  contract: AgentContract;
  /** Where its schema stands among the agent's. */
  kind: Exclude<keyof AgentJsonSchemas, 'reply'>;
  subject: string;
  body: JsonObject;
}

const time = '2026-01-31T12:00:00.000Z';
const item = { name: 'Bolt', quantity: 5, reserved: 2, reservations: { 'o-1': 2 } };
const stored = (version: number, data?: JsonObject) => ({
  entity_id: 'sku-1',
  entity_version: version,
  state: item,
  ...(data === undefined ? {} : { data }),
});
const later = '2026-01-31T12:00:30.000Z';
const lock = { owner_id: 'worker-1', fencing_token: 1_769_860_800_000_000, acquired_at: time, expires_at: later };
const granted = { entity_id: 'printer', entity_version: 3, state: lock };
const free = { ...granted, entity_version: 4, state: { ...lock, owner_id: null } };
const denial = { entity_id: 'printer', owner_id: 'me', reason: 'why', current_owner_id: 'worker-1', expires_at: time };
const conflict = { entity_id: 'sku-1', expected_version: 3, current_version: 4, reason: 'why', action: 'adjust' };
const rejected = { entity_id: 'sku-1', action: 'adjust', code: 'insufficient_stock', reason: 'why' };

const inventory: Partial<Record<Example['kind'], [subject: string, body: JsonObject][]>> = {
  commands: [
    ['cmd.inventory.adjust', { entity_id: 'sku-1', expected_version: 3, data: { delta: -2 } }],
    [
      'cmd.inventory.adjust',
      {
        entity_id: 'sku-1',
        expected_version: 3,
        lease: { resource: 'printer', fencing_token: 7 },
        data: { delta: -2 },
      },
    ],
    ['cmd.inventory.delete', { entity_id: 'sku-1', lease: { resource: 'sku-1', fencing_token: 1 } }],
    ['cmd.inventory.create', { entity_id: 'sku-1', expected_version: 0, data: { name: 'Bolt' } }],
    ['cmd.inventory.create', { entity_id: 'sku-1', data: { name: 'Bolt', quantity: 5 } }],
    ['cmd.inventory.update', { entity_id: 'sku-1', data: { name: 'Nut' } }],
    ['cmd.inventory.update', { entity_id: 'sku-1', data: { name: 'Nut', quantity: 7 } }],
    ['cmd.inventory.reserve', { entity_id: 'sku-1', data: { order_id: 'o-1', quantity: 2 } }],
    ['cmd.inventory.reserve', { entity_id: 'sku-1', data: { order_id: 'o-1', quantity: 2, ttl_ms: 60_000 } }],
    ['cmd.inventory.release', { entity_id: 'sku-1', data: { order_id: 'o-1', until: time } }],
    ['cmd.inventory.release', { entity_id: 'sku-1', data: { order_id: 'o-1' } }],
    ['cmd.inventory.fulfil', { entity_id: 'sku-1', data: { order_id: 'o-1' } }],
    ['cmd.inventory.delete', { entity_id: 'sku-1' }],
    ['cmd.inventory.delete', { entity_id: 'sku-1', expected_version: 9, data: {} }],
  ],
  events: [
    ['evt.inventory.created', stored(1)],
    ['evt.inventory.updated', stored(2)],
    ['evt.inventory.adjusted', stored(3, { delta: -2 })],
    ['evt.inventory.reserved', stored(4, { order_id: 'o-1', quantity: 2 })],
    ['evt.inventory.reserved', stored(4, { order_id: 'o-1', quantity: 2, until: time })],
    ['evt.inventory.released', stored(5, { order_id: 'o-1', quantity: 2 })],
    ['evt.inventory.fulfilled', stored(6, { order_id: 'o-1', quantity: 2 })],
    ['evt.inventory.deleted', { entity_id: 'sku-1', entity_version: 7, state: null }],
    ['evt.inventory.conflict', conflict],
    ['evt.inventory.conflict', { ...conflict, expected_version: 0 }],
    ['evt.inventory.conflict', { ...conflict, current_version: 0 }],
    ['evt.inventory.rejected', rejected],
    ['evt.inventory.rejected', { ...rejected, code: 'stale_token' }],
    ['evt.inventory.rejected', { ...rejected, code: 'lease_required' }],
    ['evt.inventory.rejected', { ...rejected, code: 'too_many_resources' }],
    [
      'evt.inventory.rejected',
      { ...rejected, entity_id: null, code: 'invalid_command', issues: [{ path: 'data.delta', message: 'why' }] },
    ],
  ],
  queries: [
    ['qry.inventory.get', { entity_id: 'sku-1' }],
    ['qry.inventory.get', { entity_id: 'sku-1', min_version: 3 }],
    ['qry.inventory.history', { entity_id: 'sku-1' }],
    ['qry.inventory.history', { entity_id: 'sku-1', limit: 1_000, before_version: 3 }],
    ['qry.inventory.list', {}],
    ['qry.inventory.list', { limit: 1_000, after: 'sku-1', prefix: 'sku-' }],
    ['qry.inventory.list', { after: '', prefix: '' }],
  ],
  results: [
    ['qry.inventory.get', stored(3)],
    ['qry.inventory.history', { events: [] }],
    [
      'qry.inventory.history',
      {
        events: [
          { event: 'evt.inventory.deleted', entity_version: 2, time, command_id: 'c-2', state: null },
          {
            event: 'evt.inventory.adjusted',
            entity_version: 1,
            time,
            command_id: 'c-1',
            state: item,
            data: { delta: 1 },
          },
        ],
      },
    ],
    ['qry.inventory.list', { entities: [stored(3)], next: 'sku-1' }],
    ['qry.inventory.list', { entities: [] }],
  ],
};

const locks: typeof inventory = {
  commands: [
    ['cmd.lock.acquire', { entity_id: 'printer', data: { owner_id: 'worker-1' } }],
    ['cmd.lock.acquire', { entity_id: 'printer', data: { owner_id: 'worker-1', ttl_ms: 500, wait_ms: 600_000 } }],
    [
      'cmd.lock.refresh',
      { entity_id: 'printer', data: { owner_id: 'worker-1', fencing_token: 3, ttl_ms: 86_400_000 } },
    ],
    ['cmd.lock.release', { entity_id: 'printer', data: { owner_id: 'worker-1', fencing_token: 3 } }],
    [
      'cmd.lock.acquire',
      { entity_id: 'printer', data: { owner_id: 'worker-2', ttl_ms: 60_000, wait_ms: 5_000, take_up_ms: 2_000 } },
    ],
    ['cmd.lock.cancel', { entity_id: 'printer', data: { owner_id: 'worker-2' } }],
    ['cmd.lock.break', { entity_id: 'printer', data: { reason: 'the host is gone' } }],
    ['cmd.lock.break', { entity_id: 'printer', data: { reason: 'the host is gone', operator_id: 'ann' } }],
  ],
  events: [
    ['evt.lock.acquired', granted],
    ['evt.lock.released', free],
    ['evt.lock.released', { ...free, data: { cause: 'gone', owner_id: 'worker-1', reason: 'nobody listens' } }],
    [
      'evt.lock.released',
      {
        ...free,
        data: { cause: 'broken', owner_id: 'worker-1', reason: 'the host is gone', operator_id: 'ann' },
      },
    ],
    ['evt.lock.queued', { ...granted, data: { owner_id: 'worker-2', position: 1, waiters: 1, until: later } }],
    ['evt.lock.cancelled', { ...granted, data: { owner_id: 'worker-2', waiters: 0 } }],
    [
      'evt.lock.lost',
      { entity_id: 'printer', fencing_token: 3, cause: 'broken', owner_id: 'worker-1', reason: 'the host is gone' },
    ],
    ['evt.lock.left', { ...granted, data: { owner_id: 'worker-2', waiters: 3 } }],
    ['evt.lock.expired', granted],
    ['evt.lock.denied', { ...denial, code: 'held', retry_after_ms: 1_250 }],
    ['evt.lock.denied', { ...denial, code: 'not_held', current_owner_id: null, expires_at: null }],
    ['evt.lock.denied', { ...denial, code: 'not_holder' }],
    ['evt.lock.denied', { ...denial, code: 'held', waiters: 3, retry_after_ms: 1_250 }],
    ['evt.lock.denied', { ...denial, code: 'queue_full', waiters: 512 }],
    ['evt.lock.denied', { ...denial, code: 'not_waiting' }],
    ['evt.lock.denied', { ...denial, code: 'cancelled' }],
    ['evt.lock.denied', { ...denial, owner_id: null, code: 'not_held', current_owner_id: null, expires_at: null }],
  ],
  queries: [
    ['qry.lock.get', { entity_id: 'printer', min_version: 3 }],
    ['qry.lock.list', { prefix: 'print' }],
  ],
  results: [
    ['qry.lock.get', granted],
    ['qry.lock.get', { ...granted, remaining_ms: 0, waiters: 0, queue: [] }],
    [
      'qry.lock.get',
      { ...granted, remaining_ms: 29_000, waiters: 1, queue: [{ owner_id: 'worker-2', position: 1, until: later }] },
    ],
    ['qry.lock.list', { entities: [{ ...granted, remaining_ms: 29_000, waiters: 1 }] }],
    ['qry.lock.history', { events: [] }],
  ],
};

function examplesOf(contract: AgentContract, table: typeof inventory): Example[] {
  return Object.entries(table).flatMap(([kind, messages]) =>
    messages.map(([subject, body]) => ({ contract, kind: kind as Example['kind'], subject, body })),
  );
}

export const EXAMPLES: readonly Example[] = [
  ...examplesOf(inventoryContract, inventory),
  ...examplesOf(lockContract, locks),
];
