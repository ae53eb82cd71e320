/**
 * Hunts durable commands that are lost, executed twice, overtaken or told wrongly, while the replicas that execute them are
 * killed and frozen every second, and the server twice; on one server, and on three whose leader is killed.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsCluster, startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { commandStream } from '@meshforge/protocol';
import { expect, test, vi } from 'vitest';
import { connectMesh, startAgent } from '../../src/index.ts';
import { tally, tallyContract } from '../integration/tally.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { spawnFromSource } from '../support/spawn-from-source.ts';
import { streamLeader } from '../support/stream-leader.ts';
import { until } from '../support/until.ts';
import { openConnection } from '../support/wire.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 });

const ENTITIES = 50;
const EACH = 100;
/** A replica dies or stands still every second for so long, in seconds; the server dies after a third and two thirds of it. */
const FAULTS_S = 15;
/** No entity gets this far. */
const NEVER = 1_000_000;

const isRefused = (i: number): boolean => i % 10 === 9;

test.each([1, 3] as const)('each is executed once, in order, and told truly, on %i servers', async (servers) => {
  const one = servers === 1 ? endWithTest(await startNatsServer()) : undefined;
  const cluster = servers === 3 ? endWithTest(await startNatsCluster()) : undefined;
  const url = one?.url ?? cluster?.url ?? '';
  const nats = { servers: url.split(',') };
  // The streams are there before anything dies.
  await (await startAgent(tally, { nats, streamReplicas: servers })).stop();
  const spawn = (): ChildProcess => {
    const main = new URL('../support/tally-process.ts', import.meta.url);
    return spawnFromSource(main, { NATS_URL: url, STREAM_REPLICAS: String(servers) });
  };
  const running = [spawn(), spawn(), spawn()];
  const kill = async (child: ChildProcess | undefined): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  endWithTest({ stop: () => Promise.all(running.map(kill)) });
  const mesh = endWithTest(await connectMesh({ ...nats, timeoutMs: 60_000 }));
  const wire = endWithTest(await openConnection(url));

  const entities = Array.from({ length: ENTITIES }, (_, i) => `entity ${i}`);
  const told: { entityId: string; i: number; kind: string }[] = [];
  const waiting: Promise<void>[] = [];
  const sending = Promise.all(
    entities.map(async (entityId) => {
      await mesh.request(tallyContract, 'open', { entityId, data: {} });
      for (let i = 0; i < EACH; i++) {
        const guard = isRefused(i) ? { expectedVersion: NEVER } : {};
        const sent = await mesh.send(tallyContract, 'add', {
          entityId,
          data: { by: 1 },
          commandId: `${entityId} ${i}`,
          ...guard,
        });
        waiting.push(
          sent.outcome({ timeoutMs: 120_000 }).then(
            ({ kind }) => void told.push({ entityId, i, kind }),
            // At most once.
            () => {},
          ),
        );
        await sleep((FAULTS_S * 1_000) / EACH);
      }
    }),
  );
  const victim = async (): Promise<NatsServer | undefined> =>
    cluster === undefined ? one : await streamLeader(cluster, wire, 'tally', commandStream('tally'));
  for (let second = 1; second <= FAULTS_S; second++) {
    await sleep(1_000);
    const replica = running.shift();
    if (second % 3 === 0) {
      // Thaws when others have gone on, with what lay in its socket.
      replica?.kill('SIGSTOP');
      setTimeout(() => replica?.kill('SIGCONT'), 4_000);
      running.push(replica as ChildProcess);
    } else {
      await kill(replica);
      running.push(spawn());
    }
    if (second % (FAULTS_S / 3) !== 0 || second === FAULTS_S) continue;
    const server = await victim();
    await server?.kill('SIGKILL');
    await server?.restart();
  }
  await sending;
  const faultless = performance.now();

  const left = async (): Promise<number> => {
    const info = await wire
      .request(`$JS.API.STREAM.INFO.${commandStream('tally')}`, '', { timeout: 5_000 })
      .catch(() => undefined);
    return info?.json<{ state?: { messages: number } }>().state?.messages ?? -1;
  };
  let last = -1;
  await until(
    () => `the queue is empty; ${last} are left`,
    async () => (last = await left()) === 0,
    120_000,
  );
  process.stdout.write(`the queue was empty ${Math.round(performance.now() - faultless)} ms after the last command\n`);
  // Nothing more comes.
  await sleep(5_000);

  const expected = Array.from({ length: EACH }, (_, i) => i).filter((i) => !isRefused(i));
  for (const entityId of entities) {
    const { events } = await mesh.history(tallyContract, entityId, { limit: 1_000 });
    const committed = events.toReversed().map(({ command_id: id }) => id);
    expect(committed.slice(1), `entity ${entityId}`).toEqual(expected.map((i) => `${entityId} ${i}`));
    expect(await mesh.get(tallyContract, entityId)).toMatchObject({ state: { n: expected.length } });
  }
  expect(await mesh.deadLetters(tallyContract).list()).toEqual({ letters: [] });
  for (const { entityId, i, kind } of told) {
    expect(isRefused(i) ? ['conflict'] : ['committed', 'replayed'], `${entityId} ${i}`).toContain(kind);
  }
  expect(told.length).toBeGreaterThan((ENTITIES * EACH) / 2);
});

test('when the replica that executes is killed, another goes on within three seconds', async () => {
  const server = endWithTest(await startNatsServer());
  await (await startAgent(tally, { nats: { servers: server.url } })).stop();
  const main = new URL('../support/tally-process.ts', import.meta.url);
  const mesh = endWithTest(await connectMesh({ servers: server.url }));
  const gaps: number[] = [];
  for (let round = 0; round < 4; round++) {
    const child = spawnFromSource(main, { NATS_URL: server.url });
    await once(child.stdout, 'data');
    const entityId = `round ${round}`;
    await (await mesh.send(tallyContract, 'open', { entityId, data: {} })).outcome();
    const other = endWithTest(await startAgent(tally, { nats: { servers: server.url } }));
    // In hand when it dies.
    child.kill('SIGSTOP');
    const sent = await mesh.send(tallyContract, 'add', { entityId, data: { by: 1 } });
    await sleep(100);
    child.kill('SIGKILL');
    const killedAt = performance.now();
    await sent.outcome();
    gaps.push(performance.now() - killedAt);
    await other.stop();
  }
  // The machine may be slow at times; a longer timer would be slow each time.
  expect(Math.min(...gaps), `gaps ${gaps.join()}`).toBeLessThan(3_000);
});
