import { ManagedProcess } from '@meshforge/processes';
import { nuid } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import type { Address, Contender, Host, Service, UpdateClient } from '../../contender.ts';
import { moduleProcess } from '../../module-process.ts';
import { sharedNatsServer } from '../../servers/nats.ts';
import { runOnce } from '../postgres-connections.ts';
import { startPostgresService } from '../postgres-service.ts';

type SynchronousCommit = 'on' | 'off';

async function start(host: Host, synchronousCommit: SynchronousCommit): Promise<Service> {
  const subject = `postgres_agent_${synchronousCommit}`;
  const nats = await sharedNatsServer(host);
  const postgres = await startPostgresService(host, subject);
  const columns = 'command_id text PRIMARY KEY, entity_id text, version integer, state jsonb';
  await runOnce(postgres.address, `CREATE TABLE IF NOT EXISTS ${subject}_outbox (${columns})`);
  const port = String(postgres.address['port']);
  const service = await ManagedProcess.start({
    name: 'the service on PostgreSQL',
    ...moduleProcess(new URL('../../services/postgres-agent-service.ts', import.meta.url), [
      nats.url,
      port,
      synchronousCommit,
    ]),
    isReady: (process) => process.logs().includes('ready'),
  });
  return {
    address: { url: nats.url, port: Number(port), subject },
    versions: { ...postgres.versions, 'nats-server': nats.version },
    pids: () => [service.pid ?? 0, ...postgres.pids(), nats.pid],
    stop: async () => void (await service.stop()),
  };
}

async function open({ url, port = 0, subject }: Address): Promise<UpdateClient> {
  const connection = await connect({ servers: String(url) });
  return {
    async create(entities) {
      const text = `INSERT INTO ${subject} (id, version, state) SELECT unnest($1::text[]), 1, $2`;
      await runOnce({ port }, text, [entities, JSON.stringify({ name: 'bolt', quantity: 1_000 })]);
      return entities.map(() => 1);
    },
    async update(entity, version) {
      const command = { entity_id: entity, expected_version: version, command_id: nuid.next() };
      const answer = await connection.request(String(subject), JSON.stringify(command), { timeout: 10_000 });
      const result = answer.json<{ version?: number }>();
      if (result.version === undefined) throw new Error(`the service answered ${answer.string()}`);
      return result.version;
    },
    close: async () => await connection.close(),
  };
}

const about =
  'the same work as a commit of MeshForge: a service asked by request/reply that updates the row at its version, writes the ' +
  'event into an outbox and the command’s id into a unique index, in one statement; without the relay that empties the outbox';

export const postgresAgent: Contender<UpdateClient> = {
  id: 'postgres-agent',
  name: 'PostgreSQL service, async commit',
  about: `${about}; synchronous_commit off`,
  durability: 'memory',
  start: async (host) => await start(host, 'off'),
  connect: open,
};

export const postgresAgentFsync: Contender<UpdateClient> = {
  id: 'postgres-agent-fsync',
  name: 'PostgreSQL service, fsync',
  about: `${about}; synchronous_commit on`,
  durability: 'fsync',
  start: async (host) => await start(host, 'on'),
  connect: open,
};
