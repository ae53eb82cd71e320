// Hunts differences between the model and a real cluster: random operations on replicated streams, the same answers.
import { startNatsCluster, type NatsCluster } from '@meshforge/nats-server';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compare, show } from './conformance/compare.ts';

const SEEDS = Number(process.env['MESHFORGE_CONFORMANCE_SEEDS'] ?? 8);
const FIRST = Number(process.env['MESHFORGE_CONFORMANCE_FIRST'] ?? 1);
const OPERATIONS = 120;
const REPLICAS = 3;

let cluster: NatsCluster;

beforeAll(async () => {
  cluster = await startNatsCluster();
});

afterAll(async () => {
  await cluster.stop();
});

/** A connection to the node that leads the stream S: from others a direct get may lag behind. */
async function toLeader(any: NatsConnection, open: Map<string, NatsConnection>): Promise<NatsConnection> {
  const info = await any.request('$JS.API.STREAM.INFO.S', '', { timeout: 5_000 });
  const leader = info.json<{ cluster?: { leader?: string } }>().cluster?.leader ?? '';
  const node = cluster.nodes.find(({ name }) => name === leader);
  if (node === undefined) return any;
  const connection = open.get(leader) ?? (await connect({ servers: node.url }));
  open.set(leader, connection);
  return connection;
}

test.each(Array.from({ length: SEEDS }, (_, at) => FIRST + at))(
  'the model answers as a cluster does, seed %i',
  { timeout: 300_000 },
  async (seed) => {
    const connection = await connect({ servers: cluster.url.split(',') });
    const open = new Map<string, NatsConnection>();
    const parting = await compare(seed, OPERATIONS, REPLICAS, {
      connection,
      leader: () => toLeader(connection, open),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      now: () => Date.now(),
    });
    await Promise.all([connection, ...open.values()].map((each) => each.close()));
    expect(parting === undefined ? '' : show(parting)).toBe('');
  },
);
