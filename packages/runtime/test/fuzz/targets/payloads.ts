import { isDeepStrictEqual } from 'node:util';
import {
  ConflictPayload,
  decode,
  DeniedPayload,
  encode,
  GetQuery,
  GetResult,
  HistoryQuery,
  HistoryResult,
  InventoryState,
  ListQuery,
  ListResult,
  LockState,
  RejectedPayload,
  SuccessPayload,
  type Decoded,
} from '@meshforge/protocol';
import { mustBeRefusal } from '../readable.ts';
import { must, type Target } from '../target.ts';

const READERS: readonly ((input: Uint8Array) => Decoded<unknown>)[] = [
  (input) => decode(SuccessPayload, input),
  (input) => decode(ConflictPayload, input),
  (input) => decode(RejectedPayload, input),
  (input) => decode(DeniedPayload, input),
  (input) => decode(InventoryState, input),
  (input) => decode(LockState, input),
  (input) => decode(GetQuery, input),
  (input) => decode(HistoryQuery, input),
  (input) => decode(ListQuery, input),
  (input) => decode(GetResult, input),
  (input) => decode(HistoryResult, input),
  (input) => decode(ListResult, input),
];

/** Events, states, queries and their results. */
export const payloads: Target = {
  name: 'events, states and queries',
  seeds: [
    '{"entity_id":"sku-1","entity_version":4,"state":{"name":"bolt"},"data":{"order_id":"o","quantity":1}}',
    '{"entity_id":"a","expected_version":1,"current_version":0,"reason":"r","action":"b"}',
    '{"entity_id":null,"action":"x","code":"too_large","reason":"r","issues":[{"path":"p","message":"m"}]}',
    '{"entity_id":"a","owner_id":"b","code":"held","reason":"r","current_owner_id":"c","expires_at":"2026-01-31T12:00:00.000Z","retry_after_ms":3}',
    '{"name":"bolt","quantity":7,"reserved":2,"reservations":{"o-1":2}}',
    '{"owner_id":"ann","fencing_token":3,"acquired_at":"2026-01-31T12:00:00.000Z","expires_at":"2026-01-31T12:00:30.000Z"}',
    '{"entity_id":"a","min_version":2}',
    '{"entity_id":"a","limit":10,"before_version":5}',
    '{"limit":10,"after":"a","prefix":""}',
    '{"entity_id":"a","entity_version":1,"state":{}}',
    '{"events":[{"event":"evt.inventory.created","entity_version":1,"time":"2026-01-31T12:00:00.000Z","command_id":"c","state":null}]}',
    '{"entities":[{"entity_id":"a","entity_version":1,"state":{}}],"next":"a"}',
  ],
  words: [
    '"reservations":',
    '"reserved":',
    '"quantity":',
    '"expires_at":',
    '"limit":',
    '"min_version":',
    '"entities":',
    '"events":',
  ],
  run(input) {
    for (const read of READERS) {
      const decoded = read(input);
      if (!decoded.ok) {
        mustBeRefusal(decoded);
        continue;
      }
      const again = read(encode(decoded.value));
      must(
        again.ok && isDeepStrictEqual(encode(again.value), encode(decoded.value)),
        'it does not come back as it was',
      );
    }
  },
};
