import { LOCK_LIMITS } from '@meshforge/protocol';
import type { Clock } from '../../clock.ts';
import { MeshError } from '../../errors.ts';
import { granted, remainingMs, type Term } from './lease-term.ts';
import { lockDenied } from './lock-errors.ts';
import { mayPass, type Denied, type LockCommands } from './lock-commands.ts';
import type { HeldLock } from './types.ts';

/** How long a grant that was waited for lasts until it is taken up, in milliseconds: its owner may be gone by then. */
const TAKE_UP_MS = 750;
/** Longest pause before the lock of another is asked for again, in milliseconds, if it was answered at once. */
const MAX_PAUSE_MS = 250;
const MIN_PAUSE_MS = 10;
/** A lease with less time left, in milliseconds, is refreshed before it is handed out. */
const MIN_LEFT_MS = 250;
/** Requests to take up a grant before the way to the lock manager counts as too slow for such a lease. */
const MAX_TAKE_UPS = 3;

export interface WantedLock {
  resource: string;
  ownerId: string;
  /** See `ResolvedLockOptions`. */
  ownerIsNew: boolean;
  ttlMs: number;
  /** Until when to wait, on the monotonic clock. */
  waitUntil: number;
  /** Ends the waiting. */
  signal: AbortSignal;
}

export interface Grant extends HeldLock {
  term: Term;
  /** Of the lock with this lease. */
  version: number;
}

/**
 * Acquires one lock, and gives it back only if the holder surely has it, with time enough to refresh it.
 *
 * The lock manager answers when the lock is free. Where it answers `held` before (it has too many waiters), the lock is asked for
 * again, after a pause.
 *
 * @throws MeshError `lock_denied`, and what commands throw; the signal's reason when it aborts
 */
export async function acquireLock(commands: LockCommands, clock: Clock, wanted: WantedLock): Promise<Grant> {
  for (;;) {
    wanted.signal.throwIfAborted();
    const reply = await tryToAcquire(commands, clock, wanted);
    if (!('kind' in reply)) return reply;
    const waitLeft = wanted.waitUntil - clock.monotonic();
    if (waitLeft <= 0 || !mayPass(reply.denied)) throw lockDenied(wanted.resource, reply.denied);
    const { retry_after_ms: retryAfterMs = 0 } = reply.denied;
    const pause = MIN_PAUSE_MS + clock.random() * Math.min(MAX_PAUSE_MS, retryAfterMs);
    await clock.sleep(Math.min(pause, waitLeft), wanted.signal);
  }
}

async function tryToAcquire(commands: LockCommands, clock: Clock, wanted: WantedLock): Promise<Grant | Denied> {
  const { resource, ownerId, ttlMs, waitUntil, signal } = wanted;
  const sentAt = clock.monotonic();
  const waitMs = Math.min(LOCK_LIMITS.maxWaitMs, Math.max(0, Math.ceil(waitUntil - sentAt)));
  const takeUpMs = waitMs > 0 ? Math.min(TAKE_UP_MS, ttlMs) : undefined;
  const request = commands.acquire({ resource, ownerId, ttlMs, waitMs, takeUpMs });
  let reply;
  try {
    reply = await orAborted(request, signal);
  } catch (error) {
    void giveUp(commands, wanted, waitMs > 0, request);
    throw error;
  }
  if (reply.kind === 'denied') return reply;
  const { durationMs, fencingToken, version } = reply;
  return await takeUp(commands, clock, wanted, { resource, fencingToken, version, term: { sentAt, durationMs } });
}

/**
 * The answer may have come late, and what it grants be over: then only the answer to a refresh tells whether it is held.
 */
async function takeUp(commands: LockCommands, clock: Clock, wanted: WantedLock, first: Grant): Promise<Grant | Denied> {
  const { resource, ownerId, ttlMs, signal } = wanted;
  let grant = first;
  try {
    for (let tries = 0; ; tries++) {
      const left = remainingMs(granted(grant.term), clock.monotonic());
      if (left > MIN_LEFT_MS) return grant;
      if (tries === MAX_TAKE_UPS) throw tooSlow(resource, ttlMs);
      const sentAt = clock.monotonic();
      const reply = await orAborted(commands.refresh(grant, ownerId, ttlMs, commands.timeoutMs), signal);
      if (reply.kind === 'denied') return reply;
      grant = { ...grant, version: reply.version, term: { sentAt, durationMs: ttlMs } };
    }
  } catch (error) {
    void commands.release(resource, ownerId, grant.fencingToken);
    throw error;
  }
}

/** Nobody waits for this answer any more: leaves the queue, and gives back what is or may yet be granted. */
async function giveUp(
  commands: LockCommands,
  { resource, ownerId, ownerIsNew }: WantedLock,
  hasWaited: boolean,
  request: ReturnType<LockCommands['acquire']>,
): Promise<void> {
  if (hasWaited) void commands.cancel(resource, ownerId);
  try {
    const reply = await request;
    if (reply.kind === 'granted') await commands.release(resource, ownerId, reply.fencingToken);
  } catch (error) {
    // Without a token this would end another lease of the same owner, too.
    const mayBeGranted = error instanceof MeshError && error.code === 'timeout';
    if (mayBeGranted && ownerIsNew) await commands.release(resource, ownerId, undefined);
  }
}

/** What a promise gives, or the reason of a signal that aborts before. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
    // Whoever gave up looks at it elsewhere, if at all.
    promise.catch(() => {});
  }
}

function tooSlow(resource: string, ttlMs: number): MeshError {
  return new MeshError({
    code: 'timeout',
    message: `the lock ${JSON.stringify(resource)} was granted ${MAX_TAKE_UPS} times too late to use it: a lease of ${ttlMs} ms is too short for so slow a way to the lock manager`,
    details: { resource, ttlMs },
  });
}
