/** What a log of leases must look like, whoever wrote it and whatever was killed meanwhile. */
import type { LockEvent } from './locks.ts';

/** Flaws named in a failure's message. */
const SHOWN = 20;

interface Grant {
  owner: string | null;
  token: number;
  /** Of the latest commit of the lease. */
  version: number;
  expiresAt: string;
}

/**
 * Walks the events of all locks in log order and says everything that is wrong with them:
 * - I1: versions are 1, 2, 3, …; an expiry repeats that of the lease it ends;
 * - I7: a grant comes only after the former was released or has expired, and tokens strictly grow;
 * - an expiry is never early by the server's clock, and tells of the very lease that stood.
 */
export function flawsOf(events: readonly LockEvent[]): string[] {
  const flaws: string[] = [];
  const versions = new Map<string, number>();
  const tokens = new Map<string, number>();
  const standing = new Map<string, Grant>();
  for (const { event, payload, sequence, time } of events) {
    const { entity_id: resource, entity_version: version, state } = payload;
    const before = versions.get(resource) ?? 0;
    const grant = standing.get(resource);
    const wrong = (what: string): void => void flaws.push(`${resource} at ${sequence}, ${event} ${version}: ${what}`);

    if (version !== (event === 'expired' ? before : before + 1)) wrong(`comes after version ${before}`);
    versions.set(resource, Math.max(before, version));

    if (event === 'acquired' && state.fencing_token === version) {
      if (grant !== undefined) wrong(`grants to ${state.owner_id} while ${grant.owner} holds token ${grant.token}`);
      if (version <= (tokens.get(resource) ?? 0)) wrong(`token ${version} does not grow`);
    } else if (grant === undefined) {
      wrong('there is no lease that it could be about');
    } else {
      if (state.fencing_token !== grant.token) wrong(`has token ${state.fencing_token}, not ${grant.token}`);
      const owner = event === 'released' ? null : grant.owner;
      if (state.owner_id !== owner) wrong(`is of ${state.owner_id}, not of ${owner}`);
      if (event === 'expired' && state.expires_at !== grant.expiresAt) wrong(`ends a lease until ${grant.expiresAt}`);
    }
    if (event === 'expired' && time < Date.parse(state.expires_at))
      wrong(`is early, at ${new Date(time).toISOString()}`);

    if (event !== 'acquired') standing.delete(resource);
    else {
      const { owner_id: owner, fencing_token: token, expires_at: expiresAt } = state;
      tokens.set(resource, token);
      standing.set(resource, { owner, token, version, expiresAt });
    }
  }
  return flaws.slice(0, SHOWN);
}
