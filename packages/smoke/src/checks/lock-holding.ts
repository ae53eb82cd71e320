/** One holder at a time, with a fencing token that only grows. */
import { GetResult, LockState } from '@meshforge/protocol';
import { fact } from '../check.ts';
import { expectDenied, expectLock } from '../expect-outcome.ts';
import { expectEqual, expectThat } from '../expect.ts';
import { atOnce } from '../together.ts';
import { acquireLock } from './steps.ts';

export const lockHoldingChecks = [
  fact(
    'an acquired lock is announced on evt.lock.acquired, with the time of the grant as its fencing_token',
    async (context) => {
      const resource = context.newResource();
      const { version, state, reply } = await acquireLock(context, resource, 'ann');
      expectEqual('owner_id', state.owner_id, 'ann');
      expectEqual('entity_version', version, 1);
      expectEqual('fencing_token', state.fencing_token, Date.parse(state.acquired_at) * 1_000);
      const event = await context.events.announced(reply);
      expectEqual('subject of the event', event.subject, 'evt.lock.acquired');
      expectEqual('Nats-Stream', event.header('Nats-Stream'), 'ENTITIES_lock');
      const leaseMs = Date.parse(state.expires_at) - Date.parse(state.acquired_at);
      expectEqual('length of the lease in ms', leaseMs, 30_000);
    },
  ),

  fact('a second owner is denied the lock: held, by whom and until when', async (context) => {
    const resource = context.newResource();
    const { state } = await acquireLock(context, resource, 'ann');
    const reply = await context.lock.send('acquire', resource, { owner_id: 'bob' });
    const denial = expectDenied(reply, 'held');
    expectEqual('owner_id', denial.owner_id, 'bob');
    expectEqual('current_owner_id', denial.current_owner_id, 'ann');
    expectEqual('expires_at', denial.expires_at, state.expires_at);
    expectEqual('subject of the event', (await context.events.announced(reply)).subject, 'evt.lock.denied');
  }),

  fact('of twenty owners that want a free lock at once exactly one gets it', async (context) => {
    const resource = context.newResource();
    const replies = await atOnce(20, async (index) => {
      return await context.lock.send('acquire', resource, { owner_id: `owner-${index}` });
    });
    const granted = replies.filter((reply) => reply.outcome.kind === 'committed');
    expectEqual('grants', granted.length, 1);
    for (const reply of replies.filter((each) => !granted.includes(each))) expectDenied(reply, 'held');
  }),

  fact('a refreshed lock keeps its fencing_token and moves expires_at', async (context) => {
    const resource = context.newResource();
    const first = await acquireLock(context, resource, 'ann', 5_000);
    const data = { owner_id: 'ann', fencing_token: first.state.fencing_token, ttl_ms: 20_000 };
    const reply = await context.lock.send('refresh', resource, data);
    const second = expectLock(reply, 'acquired');
    expectEqual('entity_version', second.version, first.version + 1);
    expectEqual('fencing_token', second.state.fencing_token, first.state.fencing_token);
    expectLaterEnd(second.state, first.state);
    await context.events.announced(reply);
  }),

  fact('acquiring a lock that one holds is a refresh', async (context) => {
    const resource = context.newResource();
    const first = await acquireLock(context, resource, 'ann', 5_000);
    const second = await acquireLock(context, resource, 'ann', 20_000);
    expectEqual('fencing_token', second.state.fencing_token, first.state.fencing_token);
    expectLaterEnd(second.state, first.state);
  }),

  fact('a lock cannot be refreshed or released by another: not_holder', async (context) => {
    const resource = context.newResource();
    const { version, state } = await acquireLock(context, resource, 'ann');
    for (const action of ['release', 'refresh']) {
      const reply = await context.lock.send(action, resource, { owner_id: 'bob' });
      expectEqual('current_owner_id', expectDenied(reply, 'not_holder').current_owner_id, 'ann');
    }
    const found = await context.lock.query('get', { entity_id: resource }, GetResult.extend({ state: LockState }));
    expectEqual('the lock after all that', found, { entity_id: resource, entity_version: version, state });
  }),

  fact('a released lock has no owner, and the next grant has a higher fencing_token', async (context) => {
    const resource = context.newResource();
    const first = await acquireLock(context, resource, 'ann');
    const reply = await context.lock.send('release', resource, { owner_id: 'ann' });
    expectEqual('owner_id after the release', expectLock(reply, 'released').state.owner_id, null);
    await context.events.announced(reply);
    const second = await acquireLock(context, resource, 'bob');
    const { fencing_token: token } = second.state;
    expectThat('fencing_token', token > first.state.fencing_token, `more than ${first.state.fencing_token}`, token);
    expectEqual('entity_version of the new grant', second.version, first.version + 2);
  }),

  fact(
    'fencing_tokens grow with every grant, also of grants in quick succession, and are no versions',
    async (context) => {
      const resource = context.newResource();
      let last = 0;
      for (let grants = 1; grants <= 5; grants++) {
        const { state, version } = await acquireLock(context, resource, `owner-${grants}`);
        const { fencing_token: token } = state;
        expectThat(`fencing_token of grant ${grants}`, token > last, `more than ${last}`, token);
        expectEqual(`entity_version of grant ${grants}`, version, 2 * grants - 1);
        expectThat('fencing_token', token > version, 'another number than the version', token);
        last = token;
        await context.lock.send('release', resource, { owner_id: state.owner_id });
      }
    },
  ),

  fact('a fencing_token from an earlier grant releases nothing', async (context) => {
    const resource = context.newResource();
    const first = await acquireLock(context, resource, 'ann');
    expectLock(await context.lock.send('release', resource, { owner_id: 'ann' }), 'released');
    await acquireLock(context, resource, 'ann');
    const data = { owner_id: 'ann', fencing_token: first.state.fencing_token };
    expectDenied(await context.lock.send('release', resource, data), 'not_holder');
  }),

  fact('refresh and release of a lock that nobody holds are denied: not_held', async (context) => {
    const never = context.newResource('never');
    const given = context.newResource('given-back');
    await acquireLock(context, given, 'ann');
    expectLock(await context.lock.send('release', given, { owner_id: 'ann' }), 'released');
    for (const resource of [never, given]) {
      for (const action of ['refresh', 'release']) {
        const denial = expectDenied(await context.lock.send(action, resource, { owner_id: 'ann' }), 'not_held');
        expectEqual('current_owner_id', denial.current_owner_id, null);
      }
    }
  }),
];

function expectLaterEnd({ expires_at: later }: LockState, { expires_at: earlier }: LockState): void {
  expectThat('expires_at', later > earlier, `later than ${earlier}`, later);
}
