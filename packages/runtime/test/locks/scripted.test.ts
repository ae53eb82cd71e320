/**
 * Hunts a client that hands out a lease which is over, or keeps one that was taken from it: against a lock manager that
 * answers late, not at all, or otherwise than it should.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { connectMesh, type Lease, type Mesh, type MeshError } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { startScriptedLockManager, type Asked, type ScriptedLockManager } from './scripted-lock-manager.ts';

let server: NatsServer;
let mesh: Mesh;
let manager: ScriptedLockManager;

beforeAll(async () => {
  server = await startNatsServer();
});

afterAll(async () => {
  await server?.stop();
});

beforeEach(async () => {
  manager = await startScriptedLockManager(server.url);
  mesh = await connectMesh({ servers: server.url, timeoutMs: 2_000 });
});

afterEach(async () => {
  await mesh.close();
  await manager.close();
});

/** Everything is granted at once, unless an action has a script of its own. */
function play(scripts: Record<string, (command: Asked, nth: number) => unknown>): void {
  const counts = new Map<string, number>();
  manager.script = (command) => {
    const nth = (counts.get(command.action) ?? 0) + 1;
    counts.set(command.action, nth);
    const script = scripts[command.action];
    if (script === undefined) command.grant(command.data.fencing_token ?? 1);
    else script(command, nth);
  };
}

const actions = (): string[] => manager.asked.map(({ action }) => action);
const asked = (action: string): Asked[] => manager.asked.filter((command) => command.action === action);
const failure = (promise: Promise<unknown>): Promise<MeshError> =>
  promise.then(
    () => expect.unreachable('it was to fail'),
    (error: unknown) => error as MeshError,
  );

describe('a grant that was waited for', () => {
  test('is taken up before the work begins, and counts from then', async () => {
    play({ acquire: async (command) => command.grant((await sleep(900), 7)) });
    let left = 0;
    const seen = await mesh.lock('r', { ttlMs: 5_000, waitMs: 10_000, ownerId: 'ann' }, (lease) => {
      left = lease.remainingMs();
      return [...actions(), lease.fencingToken];
    });
    expect(seen).toEqual(['acquire', 'refresh', 7]);
    expect(asked('acquire')[0]?.data).toEqual({
      owner_id: 'ann',
      ttl_ms: 5_000,
      wait_ms: expect.toSatisfy((ms: number) => ms > 9_000 && ms <= 10_000) as number,
      take_up_ms: 750,
    });
    expect(asked('refresh')[0]?.data).toEqual({ owner_id: 'ann', ttl_ms: 5_000, fencing_token: 7 });
    expect(left).toBeGreaterThan(4_000);
    expect(left).toBeLessThan(5_000);
  });

  test('is asked for again every three seconds with the same command and inbox, and the answer to any of them counts', async () => {
    play({ acquire: async (command, nth) => (nth === 1 ? command.grant((await sleep(4_000), 1)) : undefined) });
    await (await mesh.acquire('r', { waitMs: 20_000 })).release();
    const [first, ...others] = asked('acquire');
    expect(others.length).toBeGreaterThan(0);
    for (const { commandId, data, reply } of others) {
      expect({ commandId, data, reply }).toEqual({
        commandId: first?.commandId,
        data: first?.data,
        reply: first?.reply,
      });
    }
  });

  test('is asked for again when the lock manager that had it stops', async () => {
    play({ acquire: (command, nth) => (nth === 1 ? command.sendBack() : command.grant(1)) });
    await (await mesh.acquire('r', { waitMs: 20_000 })).release();
    const [first, second] = asked('acquire');
    expect(second).toMatchObject({ commandId: first?.commandId, reply: first?.reply });
  });

  test('counts only after a refresh if it is a replay, with or without a wait', async () => {
    for (const [resource, waitMs] of [
      ['waited', 10_000],
      ['asked', 0],
    ] as const) {
      play({ acquire: (command) => command.replay(7) });
      const lease = await mesh.acquire(resource, { waitMs });
      expect(asked('refresh').map(({ resource: of, data }) => [of, data.fencing_token])).toContainEqual([resource, 7]);
      await lease.release();
    }
    play({
      acquire: (command, nth) => (nth === 1 ? command.replay(8) : command.grant(9)),
      refresh: (command) => command.deny('not_held'),
    });
    const lease = await mesh.acquire('over', { waitMs: 10_000 });
    expect(lease.fencingToken).toBe(9);
    await lease.release();
  });

  test('is never handed out when it was over before it was taken up: the wait begins anew', async () => {
    play({
      acquire: async (command, nth) => {
        if (nth === 1) await sleep(900);
        command.grant(nth);
      },
      refresh: (command) => (command.data.fencing_token === 1 ? command.deny('not_held') : command.grant(2)),
    });
    const lease = await mesh.acquire('r', { ttlMs: 500, waitMs: 10_000 });
    expect(lease.fencingToken).toBe(2);
    const [first, second] = asked('acquire');
    expect(second?.commandId).not.toBe(first?.commandId);
    expect(second?.data.wait_ms).toBeLessThan(10_000);
    await lease.release();
  });

  test('lasts its whole time if nobody was waited for, as the answer tells', async () => {
    play({ acquire: (command) => command.grant(1, 30_000), refresh: () => {} });
    const lease = await mesh.acquire('r', { ttlMs: 30_000, waitMs: 1_000 });
    expect(lease.remainingMs()).toBeGreaterThan(20_000);
    await sleep(900);
    expect(lease.signal.aborted).toBe(false);
    expect(actions()).toEqual(['acquire']);
    await lease.release();
  });

  test('lasts no longer than was asked for, whatever the answer says', async () => {
    play({ acquire: (command) => command.grant(1, 3_600_000), refresh: () => {} });
    const lease = await mesh.acquire('r', { ttlMs: 5_000, waitMs: 1_000 });
    expect(lease.remainingMs()).toBeLessThan(5_000);
    await lease.release();
  });

  test('lasts no longer than the time to take it up, if it may have been waited for', async () => {
    play({ refresh: () => {} });
    const lease = await mesh.acquire('r', { ttlMs: 30_000, waitMs: 1_000 });
    expect(actions()).toEqual(['acquire']);
    expect(lease.remainingMs()).toBeLessThan(750);
    await until('it is lost', () => lease.signal.aborted);
  });
});

describe('a late grant', () => {
  test('without a wait is not handed out: the work never begins', async () => {
    play({
      acquire: async (command) => command.grant((await sleep(800), 1)),
      refresh: (command) => command.deny('not_holder'),
    });
    const work = vi.fn();
    const error = await failure(mesh.lock('r', { ttlMs: 500 }, work));
    expect(error).toMatchObject({ code: 'lock_denied', details: { code: 'not_holder', currentOwnerId: 'bob' } });
    expect(work).not.toHaveBeenCalled();
  });

  test('is handed out if a refresh shows that it is held', async () => {
    play({ acquire: async (command) => command.grant((await sleep(800), 1)) });
    const lease = await mesh.acquire('r', { ttlMs: 500 });
    expect(actions().slice(0, 2)).toEqual(['acquire', 'refresh']);
    expect(lease.remainingMs()).toBeGreaterThan(250);
    await lease.release();
  });

  test('of a call that gave up is given back', async () => {
    play({ acquire: async (command) => command.grant((await sleep(800), 1)) });
    const reason = new Error('enough');
    const stop = new AbortController();
    const waiting = failure(mesh.acquire('r', { waitMs: 10_000, ownerId: 'ann', signal: stop.signal }));
    await until('it waits', () => asked('acquire').length > 0);
    stop.abort(reason);
    expect(await waiting).toBe(reason);
    await until('it leaves the queue', () => asked('cancel')[0]?.data.owner_id === 'ann');
    expect(asked('release')).toEqual([]);
    await until('it is given back', () => asked('release')[0]?.data.fencing_token === 1);
  });

  test('of a call without an answer is given back in the name of an owner that nobody else is', async () => {
    play({ acquire: () => {} });
    const [error] = await Promise.all([
      failure(mesh.acquire('new', { ttlMs: 500 })),
      failure(mesh.acquire('own', { ttlMs: 500, ownerId: 'ann' })),
    ]);
    expect(error.code).toBe('timeout');
    await until('it is given back', () => asked('release').length > 0);
    expect(asked('release').map(({ resource }) => resource)).toEqual(['new']);
    expect(asked('release')[0]?.data).toEqual({ owner_id: asked('acquire')[0]?.data.owner_id });
  });
});

describe('a denial', () => {
  test('tells who holds the lock; a full queue ends the wait', async () => {
    play({ acquire: (command) => command.deny('queue_full', { retry_after_ms: 70, waiters: 1_000 }) });
    const error = await failure(mesh.acquire('r', { waitMs: 10_000 }));
    expect(error.code).toBe('lock_denied');
    expect(error.details).toEqual({
      resource: 'r',
      code: 'queue_full',
      currentOwnerId: 'bob',
      expiresAt: '2026-01-01T00:00:30.000Z',
      retryAfterMs: 70,
      waiters: 1_000,
    });
    expect(actions()).toEqual(['acquire']);
  });

  test('that comes before the wait is over is asked about again', async () => {
    play({ acquire: (command, nth) => (nth < 4 ? command.deny('held', { retry_after_ms: 20 }) : command.grant(9)) });
    const lease = await mesh.acquire('r', { waitMs: 10_000 });
    expect(lease.fencingToken).toBe(9);
    await lease.release();
  });
});

describe('a held lease', () => {
  test('is lost at its end when refreshes stay unanswered, and an answer after that brings nothing back', async () => {
    const held: Asked[] = [];
    play({ refresh: (command) => held.push(command) });
    const lease = await mesh.acquire('r', { ttlMs: 900 });
    await until('it is lost', () => lease.signal.aborted);
    expect(lease.signal.reason).toMatchObject({ code: 'lease_lost', details: { cause: 'expired', resource: 'r' } });
    for (const command of held) command.grant(1);
    await sleep(100);
    expect(lease.remainingMs()).toBe(0);
    expect(() => lease.throwIfLost()).toThrow(lease.signal.reason as Error);
    // The lock manager holds it for us: it is given back.
    await lease.release();
    expect(asked('release')[0]?.data.fencing_token).toBe(1);
  });

  test.each([
    ['not_holder', 'taken'],
    ['not_held', 'refused'],
  ] as const)('whose refresh is answered %s is lost at once: %s', async (code, cause) => {
    play({ refresh: (command) => command.deny(code) });
    const lease = await mesh.acquire('r', { ttlMs: 60_000, waitMs: 10 });
    await until('it is lost', () => lease.signal.aborted, 10_000);
    expect(lease.signal.reason).toMatchObject({ code: 'lease_lost', details: { cause, code } });
  });

  test('is lost the moment an operator breaks it, and not when another lease of the lock ends', async () => {
    play({});
    const lease = await mesh.acquire('r', { ttlMs: 60_000 });
    manager.expire('r', 2);
    const taken = { cause: 'broken', owner_id: 'ann', reason: 'stuck', operator_id: 'eve' } as const;
    manager.take('other', 1, taken);
    manager.take('r', 2, taken);
    await sleep(100);
    expect(lease.signal.aborted).toBe(false);
    manager.take('r', 1, taken);
    await until('it is lost', () => lease.signal.aborted, 5_000);
    expect(lease.signal.reason).toMatchObject({ details: { cause: 'broken', reason: 'stuck', operatorId: 'eve' } });
    expect(asked('refresh')).toEqual([]);
    await lease.release();
    // Somebody else may have it by now.
    expect(asked('release')).toEqual([]);
  });

  test('is lost when the log says that it has expired, however long its holder would have counted', async () => {
    play({});
    const lease = await mesh.acquire('r', { ttlMs: 60_000 });
    manager.expire('r', 1);
    await until('it is lost', () => lease.signal.aborted, 5_000);
    expect(lease.signal.reason).toMatchObject({ code: 'lease_lost', details: { cause: 'expired' } });
  });

  test('is not lost when the log says that a lease has expired which a refresh has replaced', async () => {
    play({ refresh: (command) => command.grant(5) });
    const lease = await mesh.acquire('r', { ttlMs: 900 });
    await until('it is refreshed', () => asked('refresh').length > 0);
    await sleep(50);
    // The scripted lock manager's versions are its tokens: the refresh is at version 5.
    manager.expire('r', 1, 4);
    await sleep(100);
    expect(lease.signal.aborted).toBe(false);
    manager.expire('r', 1, 5);
    await until('it is lost', () => lease.signal.aborted, 5_000);
    expect(lease.signal.reason).toMatchObject({ details: { cause: 'expired' } });
  });

  test('is lost when its client is closed', async () => {
    play({});
    const lease = await mesh.acquire('r');
    await mesh.close();
    expect(lease.signal.reason).toMatchObject({ code: 'lease_lost', details: { cause: 'disconnected' } });
  });
});

describe('releasing', () => {
  test('aborts the signal, leaves nothing held, and is done once', async () => {
    play({});
    const lease = await mesh.acquire('r');
    await Promise.all([lease.release(), lease.release()]);
    expect(lease.signal.reason).toMatchObject({ code: 'lease_lost', details: { cause: 'released' } });
    expect(lease.remainingMs()).toBe(0);
    expect(asked('release')).toHaveLength(1);
  });

  test('without an answer neither hides what the work has returned nor takes for ever', async () => {
    play({ release: () => {} });
    const before = performance.now();
    expect(await mesh.lock('r', {}, () => 'done')).toBe('done');
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});

describe('several locks', () => {
  const names = (commands: Asked[]): string[] => commands.map(({ resource }) => resource);

  test('are acquired in the order of their code units, told in that of the caller, and refreshed together', async () => {
    play({ acquire: (command) => command.grant(command.resource.length) });
    const lease: Lease = await mesh.acquire(['zzz', 'a', 'éé', 'Bbbb'], { ttlMs: 900 });
    expect(names(asked('acquire'))).toEqual(['Bbbb', 'a', 'zzz', 'éé']);
    expect(lease.leases).toEqual([
      { resource: 'zzz', fencingToken: 3 },
      { resource: 'a', fencingToken: 1 },
      { resource: 'éé', fencingToken: 2 },
      { resource: 'Bbbb', fencingToken: 4 },
    ]);
    expect([lease.resource, lease.fencingToken, lease.fencingTokenOf('éé')]).toEqual(['zzz', 3, 2]);
    expect(() => lease.fencingTokenOf('other')).toThrow('is not of "other"');
    await until('all are refreshed', () => new Set(names(asked('refresh'))).size === 4);
    await lease.release();
    expect(names(asked('release')).sort()).toEqual(['Bbbb', 'a', 'zzz', 'éé']);
  });

  test('are kept while later ones are waited for, and given back when one is lost meanwhile', async () => {
    play({
      acquire: (command) => (command.resource === 'b' ? undefined : command.grant(1)),
      refresh: (command, nth) => (nth < 6 ? command.grant(1) : command.deny('not_holder')),
    });
    const error = await failure(mesh.acquire(['c', 'b', 'a'], { ttlMs: 600, waitMs: 60_000 }));
    expect(error).toMatchObject({ code: 'lease_lost', details: { cause: 'taken', resource: 'a' } });
    expect(names(asked('acquire'))).toEqual(['a', 'b']);
    await until('the wait is cancelled', () => names(asked('cancel')).includes('b'));
  });

  test('are all given back when one is denied', async () => {
    play({ acquire: (command) => (command.resource === 'c' ? command.deny('held') : command.grant(1)) });
    const error = await failure(mesh.acquire(['a', 'b', 'c', 'd']));
    expect(error).toMatchObject({ code: 'lock_denied', details: { resource: 'c', code: 'held' } });
    expect(names(asked('acquire'))).toEqual(['a', 'b', 'c']);
    expect(names(asked('release')).sort()).toEqual(['a', 'b']);
  });

  test('share one wait', async () => {
    play({ acquire: async (command) => command.grant((await sleep(600), 1)) });
    const lease = await mesh.acquire(['a', 'b'], { waitMs: 2_000 });
    const [first, second] = asked('acquire');
    expect(first?.data.wait_ms).toBe(2_000);
    expect(second?.data.wait_ms).toBeLessThanOrEqual(1_400);
    await lease.release();
  });
});

test.each([
  ['no resource', [], {}],
  ['a resource twice', ['a', 'b', 'a'], {}],
  ['too many resources', Array.from({ length: 33 }, (_, i) => `r${i}`), {}],
  ['an empty resource', '', {}],
  ['a resource that is too long', 'x'.repeat(257), {}],
  ['a short lease', 'r', { ttlMs: 499 }],
  ['a long lease', 'r', { ttlMs: 86_400_001 }],
  ['half a millisecond', 'r', { ttlMs: 1_000.5 }],
  ['a wait before now', 'r', { waitMs: -1 }],
  ['a long wait', 'r', { waitMs: 600_001 }],
  ['an empty owner', 'r', { ownerId: '' }],
  ['no signal', 'r', { signal: 'stop' as unknown as AbortSignal }],
])('%s is an error before anything is sent', async (_what, resource, options) => {
  expect((await failure(mesh.acquire(resource, options))).code).toBe('invalid_options');
  expect(manager.asked).toEqual([]);
});
