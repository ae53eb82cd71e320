// Hunts a question for a command's id that the stream stores, or that stops it. On three servers: probe.long.test.ts.
import { startNatsServer } from '@meshforge/nats-server';
import { test } from 'vitest';
import { endWithTest } from '../support/end-with-test.ts';
import { expectHarmlessProbes } from './probing.ts';

test('a probe tells whether an id is known, and leaves the log as it is', async () => {
  const server = endWithTest(await startNatsServer());
  await expectHarmlessProbes(server.url, 1);
});
