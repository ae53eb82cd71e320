import { jetstreamManager } from '@nats-io/jetstream';
import { createInbox, type MsgHdrs, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import type { Address, Contender, Host, Service, UpdateClient } from '../../contender.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { sharedNatsServer } from '../../servers/nats.ts';

const stream = 'FLOOR';
const encoder = new TextEncoder();

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
  const publish = publisher(connection);
  const write = async (entity: string, sequence: number): Promise<number> => {
    // A body as long as that of the inventory agent, and the fewest headers that make it a compare-and-set.
    const state = { name: 'bolt', quantity: sequence, reserved: 0, reservations: {} };
    const body = JSON.stringify({ entity_id: entity, entity_version: sequence, state });
    return await publish(`${stream}.${entity}`, body, sequence);
  };
  return {
    create: async (entities) => await Promise.all(entities.map((entity) => write(entity, 0))),
    update: write,
    close: async () => await connection.close(),
  };
}

/** Acknowledgements come to one inbox and find their publish by a token: the leanest way that the client allows. */
function publisher(connection: NatsConnection): (subject: string, body: string, expected: number) => Promise<number> {
  const inbox = `${createInbox()}.`;
  const waiting = new Map<string, { resolve: (sequence: number) => void; reject: (error: Error) => void }>();
  connection.subscribe(`${inbox}*`, {
    callback: (_error, message) => {
      const token = message.subject.slice(inbox.length);
      const publish = waiting.get(token);
      waiting.delete(token);
      const ack = message.json<{ seq?: number; error?: { description: string } }>();
      if (ack.seq !== undefined && ack.error === undefined) publish?.resolve(ack.seq);
      else publish?.reject(new Error(ack.error?.description ?? 'no sequence'));
    },
  });
  let next = 0;
  return async (subject, body, expected) =>
    await new Promise((resolve, reject) => {
      const token = String(next++);
      waiting.set(token, { resolve, reject });
      // The client only calls `encode`; its own header type costs more than the rest of a publish.
      const bytes = encoder.encode(`NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: ${expected}\r\n\r\n`);
      const headers = { encode: () => bytes } as unknown as MsgHdrs;
      connection.publish(subject, body, { headers, reply: inbox + token });
    });
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
