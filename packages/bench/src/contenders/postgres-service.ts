import pg from 'pg';
import type { Host, Service } from '../contender.ts';
import { libraryVersion } from '../servers/library-version.ts';
import { postgresUser, sharedPostgres } from '../servers/postgres.ts';
import { loopback } from '../servers/server.ts';

/** @param table what the contender needs, by a name of its own, since all of PostgreSQL's contenders share the server */
export async function startPostgresService(host: Host, table?: string): Promise<Service> {
  const { port, version, pid } = await sharedPostgres(host);
  if (table !== undefined) await createTable(port, table);
  return {
    address: { port },
    versions: { PostgreSQL: version, pg: libraryVersion('pg') },
    pids: () => [pid],
    stop: async () => {},
  };
}

async function createTable(port: number, table: string): Promise<void> {
  const client = new pg.Client({ host: loopback, port, user: postgresUser, database: 'postgres' });
  await client.connect();
  try {
    const columns = 'id text PRIMARY KEY, version integer NOT NULL, state jsonb NOT NULL';
    await client.query(`CREATE TABLE IF NOT EXISTS ${table} (${columns})`);
  } finally {
    await client.end();
  }
}
