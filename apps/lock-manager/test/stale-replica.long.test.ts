// Hunts: a replica whose memory of a lock is old, and which answers a retry with less than the lock itself remembers.
import { startNatsCluster } from '@meshforge/nats-server';
import { lockContract } from '@meshforge/protocol';
import { connectMesh, startAgent } from '@meshforge/runtime';
import { expect, onTestFinished, test } from 'vitest';
import { lockManager } from '../src/index.ts';

test('I5: a grant that was released is answered again as it was, by whichever of two replicas', async () => {
  const cluster = await startNatsCluster();
  onTestFinished(async () => await cluster.stop());
  const nats = { servers: cluster.url };
  const agents = await Promise.all([1, 2].map(() => startAgent(lockManager, { nats, streamReplicas: 3 })));
  const mesh = await connectMesh(nats);
  onTestFinished(async () => {
    await mesh.close();
    await Promise.all(agents.map((agent) => agent.stop()));
  });
  const ask = (action: 'acquire' | 'release', commandId: string) =>
    mesh.request(lockContract, action, { entityId: 'r', commandId, data: { owner_id: 'me' } });

  // The server picks the replica, so many rounds are needed for the one that has missed the last commits to be asked.
  for (let round = 0; round < 60; round++) {
    const first = await ask('acquire', `acquire-${round}`);
    expect(first.kind).toBe('committed');
    expect((await ask('release', `release-${round}`)).kind).toBe('committed');
    expect(await ask('acquire', `acquire-${round}`)).toEqual({ ...first, kind: 'replayed' });
  }
}, 120_000);
