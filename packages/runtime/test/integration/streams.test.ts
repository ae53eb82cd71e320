// Hunts: an agent that starts on a stream which would lose or change what it commits, and agents that trip over each
// other while they make the streams.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import type { StreamConfig } from '@nats-io/jetstream';
import { jetstreamManager } from '@nats-io/jetstream';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { startAgent, type RunningAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { readCommits } from '../support/stream-witness.ts';
import { openConnection, pingAgents, sendCommand } from '../support/wire.ts';
import { tally } from './tally.ts';

let server: NatsServer;

beforeEach(async () => {
  server = await startNatsServer();
  onTestFinished(() => server.stop());
});

const start = (): Promise<RunningAgent> => startAgent(tally, { nats: { servers: server.url } });

async function configOf(stream: string): Promise<StreamConfig> {
  const connection = endWithTest(await openConnection(server.url));
  return (await (await jetstreamManager(connection)).streams.info(stream)).config;
}

/** Lets an agent make its streams, then makes one of them anew with other settings. */
async function spoil(stream: string, settings: Partial<StreamConfig>, starting = start): Promise<void> {
  await (await starting()).stop();
  const connection = endWithTest(await openConnection(server.url));
  const { streams } = await jetstreamManager(connection);
  const { config } = await streams.info(stream);
  await streams.delete(stream);
  await streams.add({ ...config, ...settings });
}

test.each<{ setting: string; change: Partial<StreamConfig> }>([
  { setting: 'duplicate_window', change: { duplicate_window: 60_000_000_000 } },
  { setting: 'allow_direct', change: { allow_direct: false } },
  { setting: 'storage', change: { storage: 'memory' } },
  { setting: 'deny_delete', change: { deny_delete: false } },
  { setting: 'deny_purge', change: { deny_purge: false } },
  { setting: 'discard', change: { discard: 'old' } },
  { setting: 'subjects', change: { subjects: ['ent.tally.*.*', 'more.*'] } },
  { setting: 'republish', change: { republish: { src: 'ent.*.*.*', dest: 'evt.{{wildcard(1)}}.all' } } },
  { setting: 'allow_rollup_hdrs', change: { allow_rollup_hdrs: true, deny_purge: false } },
  // These would make the stream forget entities.
  { setting: 'max_age', change: { max_age: 3_600_000_000_000 } },
  { setting: 'max_msgs_per_subject', change: { max_msgs_per_subject: 1 } },
])('an agent does not start on a stream whose $setting is another, and says so', async ({ setting, change }) => {
  await spoil('ENTITIES_tally', change);
  const failing = start();
  await expect(failing).rejects.toMatchObject({ name: 'MeshError', code: 'stream_mismatch' });
  await expect(failing).rejects.toThrow(`stream ENTITIES_tally exists with other settings: `);
  await expect(failing).rejects.toThrow(`${setting} is `);
  // It left nothing behind that answers.
  const connection = endWithTest(await openConnection(server.url));
  expect(await pingAgents(connection, 'tally')).toEqual([]);
});

test('an agent does not start on a SIGNALS stream that another wrote, and says so', async () => {
  await spoil('SIGNALS', { max_age: 24 * 60 * 60 * 1_000_000_000 });
  await expect(start()).rejects.toMatchObject({ code: 'stream_mismatch', details: { stream: 'SIGNALS' } });
});

test('an agent with leases does not start on a stream that drops its oldest messages when it is full', async () => {
  const leased = { ...tally, lease: { expiryEvent: 'expired', events: ['acquired'], expire: () => null } };
  const startLeased = () => startAgent(leased, { nats: { servers: server.url } });
  for (const bound of [{ max_msgs: 1_000 }, { max_bytes: 1_000_000 }]) {
    await spoil('ENTITIES_tally', bound, startLeased);
    await expect(startLeased()).rejects.toThrow(`${Object.keys(bound).at(0)} is `);
    const connection = endWithTest(await openConnection(server.url));
    await (await jetstreamManager(connection)).streams.delete('ENTITIES_tally');
  }
});

test('an agent starts on a stream with a bound at which it refuses commits', async () => {
  await spoil('ENTITIES_tally', { max_bytes: 10_000 });
  endWithTest(await start());
  const connection = endWithTest(await openConnection(server.url));
  const replies = [];
  for (let i = 0; i < 60; i++) {
    replies.push(
      await sendCommand(connection, 'tally', 'open', { entityId: String(i), data: { note: 'x'.repeat(200) } }),
    );
  }
  const stored = replies.filter(({ event }) => event === 'evt.tally.opened');
  const refused = replies.filter(({ payload }) => payload['code'] === 'unavailable');
  expect(stored.length).toBeGreaterThan(0);
  expect(refused.length).toBeGreaterThan(0);
  // I2: the answers are true, and nothing of before was dropped.
  expect(stored.length + refused.length).toBe(60);
  const commits = await readCommits(connection, 'tally');
  expect(commits.map(({ commandId }) => commandId)).toEqual(stored.map(({ commandId }) => commandId));
});

test('a second start finds the streams as they are and changes nothing', async () => {
  const first = endWithTest(await start());
  const before = await configOf('ENTITIES_tally');
  const connection = endWithTest(await openConnection(server.url));
  await sendCommand(connection, 'tally', 'open', { entityId: 'kept', data: {} });
  await first.stop();
  endWithTest(await start());
  expect(await configOf('ENTITIES_tally')).toEqual(before);
  const reply = await sendCommand(connection, 'tally', 'add', { entityId: 'kept', data: { by: 1 } });
  expect(reply.payload).toMatchObject({ entity_version: 2, state: { n: 1 } });
});

test('agents that start in the same moment on an empty server all come up and share the work', async () => {
  const agents = await Promise.all(Array.from({ length: 6 }, start));
  for (const agent of agents) endWithTest(agent);
  expect(agents.map((agent) => agent.ready())).toEqual(agents.map(() => true));
  const connection = endWithTest(await openConnection(server.url));
  expect(await pingAgents(connection, 'tally')).toHaveLength(6);
  await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      sendCommand(connection, 'tally', 'open', { entityId: String(index), data: {} }),
    ),
  );
  const shares = agents.map((agent) => agent.stats().actions['open']?.outcomes.committed ?? 0);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBe(200);
  expect(Math.min(...shares)).toBeGreaterThan(0);
});
