import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll } from 'vitest';
import { startProductionServer, type ProductionServer } from '../src/production-server.ts';
import { makeStreams } from './streams.ts';

/** A server with production.conf, a connection of every user of the mesh, and the agents' streams. */
export interface Mesh {
  readonly server: ProductionServer;
  readonly inventory: NatsConnection;
  readonly lockManager: NatsConnection;
  readonly client: NatsConnection;
  readonly subscriber: NatsConnection;
  readonly sender: NatsConnection;
  readonly operator: NatsConnection;
  readonly system: NatsConnection;
}

/** Starts one for all tests of a file; ask for it inside a test. */
export function meshForThisFile(): () => Mesh {
  let server: ProductionServer | undefined;
  let mesh: Mesh | undefined;
  beforeAll(async () => {
    server = await startProductionServer();
    mesh = await connectAll(server);
    await makeStreams(mesh.inventory, mesh.lockManager);
  });
  afterAll(async () => await server?.stop());
  return () => {
    if (mesh === undefined) throw new Error('ask for the mesh inside a test');
    return mesh;
  };
}

async function connectAll(server: ProductionServer): Promise<Mesh> {
  return {
    server,
    inventory: await server.connect('inventory'),
    lockManager: await server.connect('lockManager'),
    client: await server.connect('client'),
    subscriber: await server.connect('subscriber'),
    sender: await server.connect('sender'),
    operator: await server.connect('operator'),
    system: await server.connect('system'),
  };
}
