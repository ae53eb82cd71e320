import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { Address, Contender, Host, Service, UpdateClient } from '../../contender.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { sharedNatsServer } from '../../servers/nats.ts';
import { leanPublisher } from '../lean-publisher.ts';

const stream = 'FLOOR';

/** The header that makes a bare publish a compare-and-set: the subject's last message is to be this one. */
export function expecting(sequence: number): string {
  return `Nats-Expected-Last-Subject-Sequence: ${sequence}\r\n`;
}

async function start(host: Host, fsync: boolean): Promise<Service> {
  const nats = await sharedNatsServer(host, { fsync });
  return {
    address: { url: nats.url },
    versions: { '@nats-io/transport-node': libraryVersion('@nats-io/transport-node'), 'nats-server': nats.version },
    pids: () => [nats.pid],
    stop: () => Promise.resolve(),
  };
}

async function open({ url }: Address): Promise<UpdateClient> {
  const connection = await connect({ servers: String(url) });
  const manager = await jetstreamManager(connection, { checkAPI: false });
  await manager.streams.add({ name: stream, subjects: [`${stream}.>`], storage: 'file', allow_direct: true });
  const publish = leanPublisher(connection);
  const write = async (entity: string, sequence: number): Promise<number> => {
    // A body as long as that of the inventory agent, and the fewest headers that make it a compare-and-set.
    const state = { name: 'bolt', quantity: sequence, reserved: 0, reservations: {} };
    const body = JSON.stringify({ entity_id: entity, entity_version: sequence, state });
    return (await publish(`${stream}.${entity}`, body, expecting(sequence))).sequence;
  };
  return {
    create: async (entities) => await Promise.all(entities.map((entity) => write(entity, 0))),
    update: write,
    close: async () => await connection.close(),
  };
}

const about = 'a loop that publishes with a compare-and-set, straight from the client: no agent, no rule, no retry';

/** What the server can do at most for one client; the commit path is measured against it. */
export const floor: Contender<UpdateClient> = {
  id: 'floor',
  name: 'Floor (bare publish)',
  about,
  durability: 'written',
  start: async (host) => await start(host, false),
  connect: open,
};

export const floorFsync: Contender<UpdateClient> = {
  id: 'floor-fsync',
  name: 'Floor, fsync',
  about: `${about}; server with sync_interval: always`,
  durability: 'fsync',
  start: async (host) => await start(host, true),
  connect: open,
};
