import type { Address, Contender, ContentionClient } from '../../contender.ts';
import { connectPostgres, type PostgresSettings } from '../postgres-connections.ts';
import { startPostgresService } from '../postgres-service.ts';
import { untilDone } from './until-done.ts';

interface Counter {
  readonly version: number;
  readonly state: { readonly value: number };
}

async function connect(address: Address, table: string, settings: PostgresSettings): Promise<ContentionClient> {
  const postgres = await connectPostgres(address, settings);
  const read = async (entity: string): Promise<Counter> => {
    const text = `SELECT version, state FROM ${table} WHERE id = $1`;
    const { rows } = await postgres.query<Counter>({ name: 'read', text, values: [entity] });
    if (rows[0] === undefined) throw new Error(`${entity} does not exist`);
    return rows[0];
  };
  const write = async (entity: string, version: number, value: number): Promise<boolean> => {
    const text = `UPDATE ${table} SET state = $1, version = version + 1 WHERE id = $2 AND version = $3`;
    const values = [JSON.stringify({ value }), entity, version];
    return (await postgres.query({ name: 'write', text, values })).rowCount === 1;
  };
  return {
    create: async (entity) => {
      const text = `INSERT INTO ${table} (id, version, state) VALUES ($1, 1, $2)`;
      await postgres.query({ name: 'insert', text, values: [entity, JSON.stringify({ value: 0 })] });
    },
    increment: async (entity) =>
      await untilDone(async () => {
        const { version, state } = await read(entity);
        return await write(entity, version, state.value + 1);
      }),
    value: async (entity) => (await read(entity)).state.value,
    close: async () => await postgres.close(),
  };
}

// Each connection more is one more that waits for the row, then to lose. Tried with 8 and 64 at once on two cores, with and
// without synchronous commit, pipelined and in a pool: 2 were the fastest or among them, 16 and more the slowest.
const connections = 2;
const fsyncTable = 'contention_fsync';
const asyncTable = 'contention_async';
const about = 'SELECT, then UPDATE … WHERE version = $; pg, prepared and pipelined on 2 connections';

export const postgresFsync: Contender<ContentionClient> = {
  id: 'postgres-fsync',
  name: 'PostgreSQL, fsync',
  about: `${about}; synchronous_commit on, its default`,
  durability: 'fsync',
  start: async (host) => await startPostgresService(host, fsyncTable),
  connect: async (address) => await connect(address, fsyncTable, { synchronousCommit: 'on', connections }),
};

export const postgresAsync: Contender<ContentionClient> = {
  id: 'postgres-async',
  name: 'PostgreSQL, asynchronous commit',
  about: `${about}; synchronous_commit off`,
  durability: 'memory',
  start: async (host) => await startPostgresService(host, asyncTable),
  connect: async (address) => await connect(address, asyncTable, { synchronousCommit: 'off', connections }),
};
