import { encode } from '@meshforge/protocol';
import type { RequestOptions } from './types.ts';

/** The body with which a command sets out. @throws TypeError for what JSON cannot say */
export function commandBody({ entityId, expectedVersion, lease, data }: RequestOptions<unknown>): Uint8Array {
  return encode({
    entity_id: entityId,
    expected_version: expectedVersion,
    lease: lease && { resource: lease.resource, fencing_token: lease.fencingToken },
    data,
  });
}
