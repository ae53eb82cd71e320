/** Whether the lease under which a command is sent lets it through. */
import { LIMITS } from '@meshforge/protocol';
import type { z } from 'zod';
import type { Action } from './agent.ts';
import { highestToken, raiseToken, type Fences } from './fences.ts';
import { quoted } from './quoted.ts';

/** The lease that a command names. */
export interface CommandLease {
  resource: string;
  fencingToken: number;
}

export type LeaseCheck =
  /** `fences`: what the entity remembers once the command commits. */
  | { kind: 'passed'; fences: Fences }
  | { kind: 'refused'; code: 'stale_token' | 'lease_required' | 'too_many_resources'; reason: string }
  /** The agent could not say which lease it requires. */
  | { kind: 'defective'; what: string; cause: unknown };

interface LeasedCommand {
  entityId: string;
  action: string;
  data: object;
  lease?: CommandLease | undefined;
}

/**
 * First the token, then what the action requires. A token that another has overtaken is the plainest truth about its
 * sender: it has lost the lease, whatever else may be wrong.
 */
export function checkLease(
  // oxlint-disable-next-line typescript/no-explicit-any -- the definition's types tie state and data to the action
  { requiresLease }: Pick<Action<any, z.ZodType>, 'requiresLease'>,
  fences: Fences,
  command: LeasedCommand,
): LeaseCheck {
  const { lease } = command;
  if (lease !== undefined) {
    const highest = highestToken(fences, lease.resource);
    if (lease.fencingToken < highest) return refused('stale_token', staleReason(lease, highest));
  }
  if (requiresLease !== undefined) {
    const required = requiredResource(requiresLease, command);
    if (required.kind === 'defective') return required;
    const { resource } = required;
    if (lease === undefined || (resource !== undefined && resource !== lease.resource)) {
      return refused('lease_required', requiredReason(command, resource));
    }
  }
  if (lease === undefined) return { kind: 'passed', fences };
  const raised = raiseToken(fences, lease.resource, lease.fencingToken);
  return raised === undefined ? refused('too_many_resources', FULL) : { kind: 'passed', fences: raised };
}

const FULL =
  'the entity remembers the fencing tokens of as many resources as it can ' +
  `(${LIMITS.fencedResources}, or fewer with long names): guard it by one of those`;

function staleReason({ resource, fencingToken }: CommandLease, highest: number): string {
  return (
    `the lease on ${quoted(resource)} is over: fencing token ${fencingToken} was sent, and the entity has seen ` +
    `${highest}. Acquire it again and decide anew`
  );
}

function requiredReason({ action, lease }: LeasedCommand, resource: string | undefined): string {
  const wanted = resource === undefined ? 'a lease' : `a lease on ${quoted(resource)}`;
  const got = lease === undefined ? 'none' : `one on ${quoted(lease.resource)}`;
  return `${action} requires ${wanted}, got ${got}: send lease: { resource, fencing_token }`;
}

function requiredResource(
  requiresLease: NonNullable<Action<unknown, z.ZodType>['requiresLease']>,
  { entityId, data }: LeasedCommand,
): { kind: 'required'; resource: string | undefined } | (LeaseCheck & { kind: 'defective' }) {
  if (requiresLease === true) return { kind: 'required', resource: undefined };
  try {
    const resource: unknown = requiresLease({ entityId, data });
    if (typeof resource === 'string') return { kind: 'required', resource };
    return { kind: 'defective', what: 'named no resource for the lease that it requires', cause: undefined };
  } catch (cause) {
    return { kind: 'defective', what: 'threw when asked for the lease that it requires', cause };
  }
}

function refused(code: (LeaseCheck & { kind: 'refused' })['code'], reason: string): LeaseCheck {
  return { kind: 'refused', code, reason };
}
