import type { DeniedPayload } from '@meshforge/protocol';
import { MeshError } from '../../errors.ts';
import type { LeaseLoss } from './types.ts';

export function lockDenied(resource: string, denied: DeniedPayload): MeshError {
  return new MeshError({
    code: 'lock_denied',
    message: `the lock ${JSON.stringify(resource)} was not acquired: ${denied.reason} (${denied.code})`,
    details: {
      resource,
      code: denied.code,
      currentOwnerId: denied.current_owner_id,
      expiresAt: denied.expires_at,
      retryAfterMs: denied.retry_after_ms,
      waiters: denied.waiters,
    },
  });
}

export function leaseLost(resource: string, loss: LeaseLoss): MeshError {
  return new MeshError({
    code: 'lease_lost',
    message: `the lock ${JSON.stringify(resource)} is no longer held: ${loss.reason}`,
    details: { ...loss.details, resource, cause: loss.cause },
  });
}
