/**
 * Hunts totals that are not exact at the end of a chain of three agents, while its processes die every second (SIGKILL), and the
 * server twice; on one server, and on three whose leader is killed.
 */
import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsCluster, startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { entityStream } from '@meshforge/protocol';
import { expect, test, vi } from 'vitest';
import { connectMesh } from '../../src/index.ts';
import { first, second, startChainAgents, third } from '../support/chain.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { spawnFromSource } from '../support/spawn-from-source.ts';
import { streamLeader } from '../support/stream-leader.ts';
import { openConnection } from '../support/wire.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 60_000 });

const ENTITIES = 30;
const EACH = 30;
/** A process dies every second for so long, in seconds; the server after a third and after two thirds of it. */
const DYING_S = 9;

test.each([1, 3] as const)('what goes in at one end comes out at the other, on %i servers', async (servers) => {
  const one = servers === 1 ? endWithTest(await startNatsServer()) : undefined;
  const cluster = servers === 3 ? endWithTest(await startNatsCluster()) : undefined;
  const url = one?.url ?? cluster?.url ?? '';
  // The streams are there before anything dies.
  await Promise.all((await startChainAgents(url, servers)).map((agent) => agent.stop()));
  const spawn = (): ChildProcess => {
    const main = new URL('../support/chain-process.ts', import.meta.url);
    return spawnFromSource(main, { NATS_URL: url, STREAM_REPLICAS: String(servers) });
  };
  const running = [spawn(), spawn(), spawn()];
  const kill = async (child: ChildProcess | undefined): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  endWithTest({ stop: () => Promise.all(running.map(kill)) });
  const mesh = endWithTest(await connectMesh({ servers: url.split(','), timeoutMs: 60_000 }));
  const nats = endWithTest(await openConnection(url));

  const entities = Array.from({ length: ENTITIES }, (_, i) => `entity ${i}`);
  const sending = Promise.all(
    entities.map(async (entityId) => {
      for (let by = 1; by <= EACH; by++) {
        await mesh.send(first, 'add', { entityId, data: { by } });
        await sleep((DYING_S * 1_000) / EACH);
      }
    }),
  );
  const victim = async (): Promise<NatsServer | undefined> =>
    cluster === undefined ? one : await streamLeader(cluster, nats, 'second', entityStream('second'));
  for (let second_ = 1; second_ <= DYING_S; second_++) {
    await sleep(1_000);
    await kill(running.shift());
    running.push(spawn());
    if (second_ % (DYING_S / 3) !== 0 || second_ === DYING_S) continue;
    const server = await victim();
    await server?.kill('SIGKILL');
    await server?.restart();
  }
  await sending;

  const expected = (EACH * (EACH + 1)) / 2;
  const totals = async (): Promise<(number | undefined)[]> =>
    await Promise.all(entities.map(async (entityId) => (await mesh.get(third, entityId))?.state.n));
  await vi.waitFor(async () => expect(await totals()).toEqual(entities.map(() => expected)), {
    timeout: 90_000,
    interval: 500,
  });
  // Nothing more comes.
  await sleep(3_000);
  for (const contract of [first, second, third]) {
    for (const entityId of entities) {
      expect(await mesh.get(contract, entityId)).toMatchObject({ entity_version: EACH, state: { n: expected } });
      const { events } = await mesh.history(contract, entityId);
      expect(events.map(({ data }) => data?.['by'])).toEqual(Array.from({ length: EACH }, (_, i) => EACH - i));
    }
    expect(await mesh.deadLetters(contract).list()).toEqual({ letters: [] });
  }
});
