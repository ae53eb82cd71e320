// Hunts differences between the model and a real nats-server: random operations, the same answers.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compare, show } from './conformance/compare.ts';

const SEEDS = Number(process.env['MESHFORGE_CONFORMANCE_SEEDS'] ?? 6);
const FIRST = Number(process.env['MESHFORGE_CONFORMANCE_FIRST'] ?? 1);
const OPERATIONS = 120;

let server: NatsServer;
let connection: NatsConnection;

beforeAll(async () => {
  server = await startNatsServer();
});

afterAll(async () => {
  await server.stop();
});

test.each(Array.from({ length: SEEDS }, (_, at) => FIRST + at))(
  'the model answers as one server does, seed %i',
  { timeout: 120_000 },
  async (seed) => {
    connection = await connect({ servers: server.url });
    const parting = await compare(seed, OPERATIONS, 1, {
      connection,
      leader: () => Promise.resolve(connection),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      now: () => Date.now(),
    });
    await connection.close();
    expect(parting === undefined ? '' : show(parting)).toBe('');
  },
);
