import { isDeepStrictEqual } from 'node:util';
import {
  check,
  decodeCommand,
  encode,
  entityFilter,
  entitySubject,
  inventoryContract,
  lockContract,
  parseSubject,
  recordSubject,
} from '@meshforge/protocol';
import fc from 'fast-check';
import type { z } from 'zod';
import { highestToken, NO_FENCES, raiseToken, readFences } from '../../../src/core/fences.ts';
import { characters, mustBeRefusal, mustBeSubject } from '../readable.ts';
import { must, type Target } from '../target.ts';

const ACTIONS: readonly { data: z.ZodType }[] = [
  ...Object.values(inventoryContract.actions),
  ...Object.values(lockContract.actions),
];

/** The body of a command, and its data against every action that there is. */
export const commands: Target = {
  name: 'commands',
  seeds: [
    '{"entity_id":"sku-1","expected_version":3,"data":{"delta":-2}}',
    '{"entity_id":"sku-1","data":{"name":"bolt","quantity":5}}',
    '{"entity_id":"sku-1","data":{"order_id":"o-1","quantity":2}}',
    '{"entity_id":"sku-1","data":{"order_id":"o-1"}}',
    '{"entity_id":"a.b*>😀","expected_version":0,"data":{}}',
    '{"entity_id":"job","data":{"owner_id":"ann","ttl_ms":30000,"wait_ms":0}}',
    '{"entity_id":"job","data":{"owner_id":"ann","fencing_token":3}}',
    '{"entity_id":"job","agent_version":1}',
    '{"entity_id":"sku-1","lease":{"resource":"job","fencing_token":3},"data":{"delta":-2}}',
    '{"entity_id":"sku-1","lease":{"resource":"a.b 😀","fencing_token":9007199254740991}}',
    '{"entity_id":"job","data":{"reason":"the host is gone","operator_id":"ann"}}',
  ],
  words: [
    '"owner_id":',
    '"ttl_ms":',
    '"quantity":',
    '"order_id":',
    '"delta":',
    '"fencing_token":',
    '"lease":',
    '"resource":',
  ],
  arbitrary: fc
    .record(
      {
        entity_id: fc.string({ unit: 'binary' }),
        expected_version: fc.maxSafeNat(),
        lease: fc.record({ resource: fc.string({ unit: 'binary' }), fencing_token: fc.maxSafeNat() }),
        data: fc.object(),
      },
      { requiredKeys: ['entity_id', 'data'] },
    )
    .map((command) => JSON.stringify(command)),
  run(input) {
    const decoded = decodeCommand(input);
    if (!decoded.ok) {
      mustBeRefusal(decoded);
      return;
    }
    const { entity_id: entityId, expected_version: expected, lease, data = {} } = decoded.value;
    must(characters(entityId) >= 1 && characters(entityId) <= 256, 'a long entity id', entityId);
    must(expected === undefined || (Number.isSafeInteger(expected) && expected >= 0), 'the version is none', expected);
    if (lease !== undefined) {
      const { resource, fencing_token: token } = lease;
      must(characters(resource) >= 1 && characters(resource) <= 256, 'a long resource', resource);
      must(Number.isSafeInteger(token) && token >= 1, 'the token is none', token);
      const fences = raiseToken(NO_FENCES, resource, token);
      must(fences !== undefined && highestToken(readFences(fences), resource) === token, 'the token is not remembered');
    }
    const again = decodeCommand(encode(decoded.value));
    must(again.ok && isDeepStrictEqual(encode(again.value), encode(decoded.value)), 'it does not come back as it was');

    const subject = entitySubject('inventory', entityId, 0, 'created');
    mustBeSubject(subject, 5);
    const record = recordSubject('inventory', entityId);
    mustBeSubject(record, 4);
    for (const place of [subject, record]) {
      must(place.startsWith(entityFilter('inventory', entityId).slice(0, -1)), 'its filter is another', place);
      const parsed = parseSubject(place);
      must(
        (parsed?.kind === 'entity' || parsed?.kind === 'record') && parsed.entityId === entityId,
        'the subject is of another entity',
        place,
      );
    }

    for (const action of ACTIONS) {
      const checked = check(action.data, data, 'data');
      if (!checked.ok) mustBeRefusal(checked);
      else must(check(action.data, checked.value).ok, 'data that was accepted is refused the second time');
    }
    must(!('polluted' in {}), 'the prototype of all objects was changed');
  },
};
