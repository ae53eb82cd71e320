import type { Host, Service } from '../contender.ts';
import { libraryVersion } from '../servers/library-version.ts';
import { sharedPostgres, type PostgresServerSettings } from '../servers/postgres.ts';
import { runOnce } from './postgres-connections.ts';

/** @param table what the contender needs, by a name of its own, since all of PostgreSQL's contenders share the server */
export async function startPostgresService(
  host: Host,
  table?: string,
  settings?: PostgresServerSettings,
): Promise<Service> {
  const { port, version, pid } = await sharedPostgres(host, settings);
  if (table !== undefined) {
    const columns = 'id text PRIMARY KEY, version integer NOT NULL, state jsonb NOT NULL';
    await runOnce({ port }, `CREATE TABLE IF NOT EXISTS ${table} (${columns})`);
  }
  return {
    address: { port },
    versions: { PostgreSQL: version, pg: libraryVersion('pg') },
    pids: () => [pid],
    stop: async () => {},
  };
}
