// Hunts the same as probe.test.ts, on a replicated stream: other ways to ask stop it for good.
import { startNatsCluster } from '@meshforge/nats-server';
import { test } from 'vitest';
import { endWithTest } from '../support/end-with-test.ts';
import { expectHarmlessProbes } from './probing.ts';

test('a probe tells whether an id is known, and leaves the log as it is', async () => {
  const cluster = endWithTest(await startNatsCluster());
  await expectHarmlessProbes(cluster.url, 3);
}, 120_000);
