// Hunts: a command that waits for a lock, and whose own lease on something else is over when its turn comes.
import { expect, test } from 'vitest';
import { endWithTest } from '../../../packages/runtime/test/support/end-with-test.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { sendCommand, sendQuery } from '../../../packages/runtime/test/support/wire.ts';
import { startMesh } from './support/lock-manager.ts';
import { acquire, lease, LOCKS, readLock, release } from './support/locks.ts';

const RESOURCE = 'printer';

test('it is refused when its turn comes, whichever replica holds it back, and those behind it get the lock', async () => {
  const { connection } = endWithTest(await startMesh(3));
  const send = (action: string, owner: string, token: number, waitMs?: number) =>
    sendCommand(connection, LOCKS, action, {
      entityId: RESOURCE,
      lease: { resource: 'job', fencing_token: token },
      data: { owner_id: owner, wait_ms: waitMs },
    });
  const queued = (waiters: number) =>
    until(`${waiters} wait`, async () => {
      const { body } = await sendQuery(connection, LOCKS, 'get', { entity_id: RESOURCE });
      return body['waiters'] === waiters;
    });
  lease(await acquire(connection, RESOURCE, 'ann', { ttl: 60_000 }));
  const overtaken = send('acquire', 'bob', 1, 20_000);
  await queued(1);
  const behind = send('acquire', 'eve', 2, 20_000);
  await queued(2);
  lease(await send('refresh', 'ann', 2));
  await release(connection, RESOURCE, 'ann');
  expect(await overtaken).toMatchObject({
    event: 'evt.lock.rejected',
    errorCode: 422,
    payload: { code: 'stale_token' },
  });
  expect(lease(await behind).state.owner_id).toBe('eve');
  expect((await readLock(connection, RESOURCE))?.state.owner_id).toBe('eve');
}, 60_000);
