/** What a log of leases must look like, whoever wrote it and whatever was killed meanwhile. */
import { LOCK_LIMITS } from '@meshforge/protocol';
import type { LockEvent } from './locks.ts';

/** Flaws named in a failure's message. */
const SHOWN = 20;
/** Whether a wait was over when a lock was granted, each replica knows by its own reading of the server's clock. */
const CLOCK_SLACK_MS = 500;

interface Grant {
  owner: string | null;
  token: number;
  /** Of the latest commit that moved the lease's end; undefined where that was missed. */
  version: number | undefined;
  expiresAt: string;
}

export interface Expected {
  /** Events may be missing, as after a restart of the server: then the next one of a lock is believed. */
  mayMiss?: boolean;
  /** How long a lock that somebody waits for may stand free, in milliseconds. Default: any time. */
  freeMs?: number;
  /** Nobody is passed over, however long a lock stands free: all replicas live, and serve their waiters. */
  inOrder?: boolean;
}

interface Place {
  owner: string;
  until: number;
  wasPassed: boolean;
}

/**
 * Walks the events of all locks in log order and says everything that is wrong with them:
 * - I1: versions are 1, 2, 3, …; an expiry repeats that of the lease it ends, and what tells of waiters repeats the last;
 * - I7: a grant comes only after the former was released or has expired, and tokens strictly grow;
 * - an expiry is never early by the server's clock, and tells of the very lease that stood;
 * - a free lock goes to whoever waits first, or to anybody once it has been free for two seconds; waiting changes nothing else.
 */
export function flawsOf(events: readonly LockEvent[], expected: Expected = {}): string[] {
  const flaws: string[] = [];
  const locks = new Map<string, LockHistory>();
  for (const event of events) {
    const resource = event.payload.entity_id;
    const lock = locks.get(resource) ?? new LockHistory(expected);
    locks.set(resource, lock);
    const { entity_version: version } = event.payload;
    lock.take(event, (what) => void flaws.push(`${resource} at ${event.sequence}, ${event.event} ${version}: ${what}`));
  }
  return flaws.slice(0, SHOWN);
}

type Wrong = (what: string) => void;

class LockHistory {
  #version = 0;
  #token = 0;
  #grant: Grant | undefined;
  #queue: Place[] = [];
  /** When its last lease ended, by its own `expires_at`. */
  #freeSince = Number.POSITIVE_INFINITY;
  /** Since when somebody waits for it though nobody holds it, by the server's clock. */
  #idleSince: number | undefined;
  readonly #expected: Expected;

  constructor(expected: Expected) {
    this.#expected = expected;
  }

  take(change: LockEvent, wrong: Wrong): void {
    const { event, payload } = change;
    const { entity_version: version, state } = payload;
    const isOfWaiters = event === 'queued' || event === 'left' || event === 'cancelled';
    const next = isOfWaiters ? this.#version : this.#version + 1;
    const expected = event === 'expired' ? (this.#grant?.version ?? version) : next;
    if (version !== expected && this.#expected.mayMiss === true && version > this.#version)
      return this.#believe(change);
    const { freeMs = Number.POSITIVE_INFINITY } = this.#expected;
    const idleMs = change.time - (this.#idleSince ?? change.time);
    if (idleMs > freeMs) wrong(`the lock stood free for ${idleMs} ms, and ${this.#queue[0]?.owner} waited`);
    if (version !== expected) wrong(`comes after version ${this.#version}, and ${expected} was expected`);
    this.#version = Math.max(this.#version, version);

    if (isOfWaiters) this.#wait(change, wrong);
    else if (event === 'acquired' && state.fencing_token !== this.#grant?.token) this.#granted(change, wrong);
    else this.#ofLease(change, wrong);
    const waits = this.#queue.some(({ until }) => until > change.time);
    if (this.#grant !== undefined || !waits) this.#idleSince = undefined;
    else this.#idleSince ??= change.time;
  }

  #believe({ event, payload }: LockEvent): void {
    const { owner_id: owner, fencing_token: token, expires_at: expiresAt } = payload.state;
    this.#version = payload.entity_version;
    this.#token = Math.max(token, this.#token);
    this.#queue = [];
    this.#idleSince = undefined;
    this.#grant = undefined;
    if (event === 'expired' || owner === null) return;
    this.#grant = { owner, token, version: event === 'acquired' ? this.#version : undefined, expiresAt };
  }

  #granted({ payload, time }: LockEvent, wrong: Wrong): void {
    const { owner_id: owner, fencing_token: token, expires_at: expiresAt } = payload.state;
    const grant = this.#grant;
    if (grant !== undefined) wrong(`grants to ${owner} while ${grant.owner} holds token ${grant.token}`);
    if (token <= this.#token) wrong(`token ${token} does not grow`);
    const place = this.#queue.findIndex((waiting) => waiting.owner === owner);
    const earlier = place === -1 ? this.#queue : this.#queue.slice(0, place);
    const wasLongFree = Date.parse(payload.state.acquired_at) - this.#freeSince >= LOCK_LIMITS.passOverMs;
    const mayPass = wasLongFree && this.#expected.inOrder !== true;
    const passedOver = mayPass ? [] : earlier.filter(({ until }) => until > time + CLOCK_SLACK_MS);
    if (passedOver.length > 0) wrong(`passes over ${passedOver.map((waiting) => waiting.owner).join(', ')}`);
    // Who is passed a second time waits no more.
    const passedAgain = new Set(earlier.filter((waiting) => waiting.wasPassed));
    for (const waiting of earlier) waiting.wasPassed = true;
    this.#queue = this.#queue.filter((waiting) => waiting.owner !== owner && !passedAgain.has(waiting));
    this.#token = token;
    this.#grant = { owner, token, version: payload.entity_version, expiresAt };
  }

  /** A refresh, or the end of a lease. */
  #ofLease({ event, payload, data, time }: LockEvent, wrong: Wrong): void {
    const { entity_version: version, state } = payload;
    const grant = this.#grant;
    if (grant === undefined) return wrong('there is no lease that it could be about');
    if (state.fencing_token !== grant.token) wrong(`has token ${state.fencing_token}, not ${grant.token}`);
    const owner = event === 'released' ? null : grant.owner;
    if (state.owner_id !== owner) wrong(`is of ${state.owner_id}, not of ${owner}`);
    if (data !== undefined && data.owner_id !== grant.owner) wrong(`takes the lease of ${data.owner_id}`);
    if (event === 'expired') {
      if (state.expires_at !== grant.expiresAt) wrong(`ends a lease until ${grant.expiresAt}`);
      if (time < Date.parse(state.expires_at)) wrong(`is early, at ${new Date(time).toISOString()}`);
    }
    this.#grant = event === 'acquired' ? { ...grant, version, expiresAt: state.expires_at } : undefined;
    this.#freeSince = Date.parse(state.expires_at);
    // Whoever holds the lock waits for nothing.
    if (event === 'acquired') this.#queue = this.#queue.filter((waiting) => waiting.owner !== grant.owner);
  }

  #wait({ event, payload, data = {}, time }: LockEvent, wrong: Wrong): void {
    const { owner_id: owner = '', position = 0, until = '' } = data;
    const standing = this.#grant?.owner ?? null;
    if (payload.state.owner_id !== standing) wrong(`is of ${payload.state.owner_id}, not of ${standing}`);
    if (event === 'queued') {
      this.#queue = this.#queue.filter((waiting) => waiting.owner !== owner);
      // Waits that were over then have no place in the count; which they were, the server's time tells nearly.
      const overFirst = [...this.#queue].sort((one, other) => one.until - other.until);
      const over = new Set(overFirst.slice(0, Math.max(0, this.#queue.length + 1 - (data.waiters ?? 0))));
      for (const waiting of over)
        if (waiting.until > time + CLOCK_SLACK_MS) wrong(`${waiting.owner} has lost the place`);
      this.#queue = this.#queue.filter((waiting) => !over.has(waiting));
      this.#queue.splice(position - 1, 0, { owner, until: Date.parse(until), wasPassed: false });
      if (this.#queue.length !== data.waiters) wrong(`tells of ${data.waiters} waiters, not of ${this.#queue.length}`);
      return;
    }
    if (event === 'cancelled' && this.#queue.every((waiting) => waiting.owner !== owner))
      wrong(`${owner} did not wait`);
    const place = this.#queue.findIndex((waiting) => waiting.owner === owner);
    if (place !== -1) this.#queue.splice(place, 1);
    else wrong(`nobody waits as ${owner}`);
  }
}
