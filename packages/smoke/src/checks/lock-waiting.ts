/** Owners who wait for a lock get it, first come first served; who holds and who waits can be seen, and a lease broken. */
import { GetResult, LeaseTaken, ListResult, LOCK_LIMITS, LockState, LockView, WaitEnded } from '@meshforge/protocol';
import { permissionViolation } from '../ask.ts';
import type { CheckContext } from '../check-context.ts';
import { CheckSkipped, fact } from '../check.ts';
import { expectDenied, expectLock, expectRejected, expectState } from '../expect-outcome.ts';
import { expectEqual, expectPresent, expectThat } from '../expect.ts';
import type { Reply } from '../reply.ts';
import { together } from '../together.ts';
import { acquireLock } from './steps.ts';

const waitMs = 4_000;
const LockResult = GetResult.extend({ state: LockState, ...LockView.shape });

export const lockWaitingChecks = [
  fact(
    'an owner who waits for a lock is granted it when it is released, with a higher fencing_token',
    async (context) => {
      const resource = context.newResource();
      const first = await acquireLock(context, resource, 'ann');
      const waiting = waitFor(context, resource, 'bob');
      const [reply] = await together([
        waiting,
        afterQueued(context, resource, 1, () => release(context, resource, 'ann')),
      ]);
      const { state } = expectLock(reply, 'acquired');
      expectEqual('owner_id', state.owner_id, 'bob');
      const { fencing_token: token } = state;
      expectThat('fencing_token', token > first.state.fencing_token, `more than ${first.state.fencing_token}`, token);
      await context.events.announced(reply);
    },
  ),

  fact('owners who wait for a lock get it in the order in which they came, and nobody before them', async (context) => {
    const resource = context.newResource();
    await acquireLock(context, resource, 'ann');
    const granted: string[] = [];
    const take = async (owner: string): Promise<void> => {
      expectLock(await waitFor(context, resource, owner), 'acquired');
      granted.push(owner);
      await release(context, resource, owner);
    };
    const owners = ['bob', 'cy', 'dee'];
    const takes = owners.map(async (owner, before) => {
      if (before === 0) await take(owner);
      else await afterQueued(context, resource, before, () => take(owner));
    });
    const giveUp = async (): Promise<void> => {
      const denial = expectDenied(await context.lock.send('acquire', resource, { owner_id: 'eve' }), 'held');
      expectEqual('waiters in the denial of who does not wait', denial.waiters, owners.length);
      await release(context, resource, 'ann');
    };
    await together([...takes, afterQueued(context, resource, owners.length, giveUp)]);
    expectEqual('owners in the order of their grants', granted, owners);
  }),

  fact('an owner who has waited for wait_ms in vain is denied then: held, and waits no more', async (context) => {
    const resource = context.newResource();
    await acquireLock(context, resource, 'ann');
    const startedAtMs = performance.now();
    const denial = expectDenied(await waitFor(context, resource, 'bob', { wait_ms: 300 }), 'held');
    const elapsedMs = Math.round(performance.now() - startedAtMs);
    expectThat('ms until the denial', elapsedMs >= 250 && elapsedMs < 300 + 1_000, '300 and a little', elapsedMs);
    expectEqual('current_owner_id', denial.current_owner_id, 'ann');
    const view = await context.lock.query('get', { entity_id: resource }, LockResult);
    expectEqual('waiters after the wait', view.waiters, 0);
  }),

  fact('cancel takes an owner out of the queue, who is told so; who does not wait cannot be', async (context) => {
    const resource = context.newResource();
    await acquireLock(context, resource, 'ann');
    const cancel = (): Promise<Reply> => context.lock.send('cancel', resource, { owner_id: 'bob' });
    const [waited, cancelled] = await together([
      waitFor(context, resource, 'bob'),
      afterQueued(context, resource, 1, cancel),
    ]);
    expectDenied(waited, 'cancelled');
    expectEqual('the event in the reply to cancel', cancelled.event, 'evt.lock.cancelled');
    const data = expectState(cancelled.subject, WaitEnded, cancelled.payload['data']);
    expectEqual('data of the event', data, { owner_id: 'bob', waiters: 0 });
    expectDenied(await cancel(), 'not_waiting');
    expectEqual('owner_id of the lease', (await context.lock.find(resource, LockState))?.state.owner_id, 'ann');
  }),

  fact('get and list show how long a lease still lasts and how many wait, get also who', async (context) => {
    const resource = context.newResource();
    await acquireLock(context, resource, 'ann', 20_000);
    const looks = async (): Promise<void> => {
      const one = await context.lock.query('get', { entity_id: resource }, LockResult);
      expectThat('remaining_ms', one.remaining_ms > 5_000 && one.remaining_ms <= 20_000, '≤ 20000', one.remaining_ms);
      expectEqual('waiters', one.waiters, 1);
      const [first] = expectPresent('queue', one.queue);
      expectEqual('who waits, and where', { ...first, until: '' }, { owner_id: 'bob', position: 1, until: '' });
      const listing = ListResult.extend({ entities: LockResult.array() });
      const { entities } = await context.lock.query('list', { prefix: resource }, listing);
      const [listed] = entities.filter(({ entity_id: id }) => id === resource);
      expectEqual('waiters in the list', listed?.waiters, 1);
      expectEqual('queue in the list', listed?.queue, undefined);
    };
    await together([
      waitFor(context, resource, 'bob'),
      afterQueued(context, resource, 1, async () => {
        await looks();
        await release(context, resource, 'ann');
      }),
    ]);
    await release(context, resource, 'bob');
    const free = await context.lock.query('get', { entity_id: resource }, LockResult);
    expectEqual('a free lock', [free.remaining_ms, free.waiters, free.queue], [0, 0, []]);
  }),

  fact(
    'a lock that was waited for goes to the next after take_up_ms, unless a refresh takes it up',
    async (context) => {
      const resource = context.newResource();
      const takeUpMs = LOCK_LIMITS.minTtlMs;
      await acquireLock(context, resource, 'ann');
      const [first, second] = await together([
        waitFor(context, resource, 'bob', { take_up_ms: takeUpMs }),
        afterQueued(context, resource, 1, () => waitFor(context, resource, 'cy', { take_up_ms: takeUpMs })),
        afterQueued(context, resource, 2, () => release(context, resource, 'ann')),
      ]);
      // Bob does not take it up.
      const states = [first, second].map((reply) => expectLock(reply, 'acquired').state);
      for (const { acquired_at: since, expires_at: until } of states) {
        expectEqual('length of the lease in ms', Date.parse(until) - Date.parse(since), takeUpMs);
      }
      const last = expectPresent('the second lease', states[1]);
      const data = { owner_id: last.owner_id, fencing_token: last.fencing_token, ttl_ms: 30_000 };
      const { state } = expectLock(await context.lock.send('refresh', resource, data), 'acquired');
      expectEqual('fencing_token after the refresh', state.fencing_token, last.fencing_token);
    },
  ),

  fact('what the lock manager says to itself is an unknown_action from anybody else', async (context) => {
    const resource = context.newResource();
    await acquireLock(context, resource, 'ann');
    for (const action of ['wait', 'grant', 'leave', 'withdraw']) {
      expectRejected(await context.lock.send(action, resource, { owner_id: 'ann' }), 'unknown_action');
    }
  }),

  fact('break ends a lease whoever holds it, says why, and kills its fencing_token', async (context) => {
    const resource = context.newResource();
    const { state } = await acquireLock(context, resource, 'ann');
    const reply = await breakLease(context, resource, { reason: 'smoke', operator_id: 'olga' });
    expectEqual('owner_id after it', expectLock(reply, 'released').state.owner_id, null);
    const event = await context.events.announced(reply);
    const taken = expectState(reply.subject, LeaseTaken, event.payload['data']);
    expectEqual('data', taken, { cause: 'broken', owner_id: 'ann', reason: 'smoke', operator_id: 'olga' });
    await acquireLock(context, resource, 'ann');
    const old = { owner_id: 'ann', fencing_token: state.fencing_token };
    for (const action of ['refresh', 'release']) {
      expectDenied(await context.lock.send(action, resource, old), 'not_holder');
    }
  }),
];

async function waitFor(context: CheckContext, resource: string, owner: string, more: object = {}): Promise<Reply> {
  return await context.lock.send('acquire', resource, { owner_id: owner, wait_ms: waitMs, ...more });
}

async function release(context: CheckContext, resource: string, owner: string): Promise<void> {
  expectLock(await context.lock.send('release', resource, { owner_id: owner }), 'released');
}

/** Does it once so many wait, as `evt.lock.queued` tells. */
async function afterQueued<T>(
  context: CheckContext,
  resource: string,
  waiters: number,
  action: () => Promise<T>,
): Promise<T> {
  await context.events.next(`evt.lock.queued of waiter ${waiters}`, ({ subject, payload }) => {
    if (subject !== 'evt.lock.queued' || payload['entity_id'] !== resource) return false;
    return (payload['data'] as { waiters?: unknown } | undefined)?.waiters === waiters;
  });
  return await action();
}

/** @throws CheckSkipped when this user may not break leases, as a client may not where operators may. */
async function breakLease(context: CheckContext, resource: string, data: object): Promise<Reply> {
  try {
    return await context.lock.send('break', resource, data);
  } catch (error) {
    if (permissionViolation(error) !== undefined) throw new CheckSkipped('this user may not break leases');
    throw error;
  }
}
