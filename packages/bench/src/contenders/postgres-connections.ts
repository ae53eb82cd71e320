import pg from 'pg';
import type { Address } from '../contender.ts';
import { postgresUser } from '../servers/postgres.ts';
import { loopback } from '../servers/server.ts';

export interface PostgresConnections {
  query<Row extends pg.QueryResultRow>(query: PreparedQuery): Promise<pg.QueryResult<Row>>;
  close(): Promise<void>;
}

/** Named, so that the server parses and plans it once for each connection. */
export interface PreparedQuery {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** One statement over a connection of its own, such as the making of a table. */
export async function runOnce(address: Address, text: string, values: readonly unknown[] = []): Promise<void> {
  const postgres = await connectPostgres(address, { synchronousCommit: 'on', connections: 1 });
  try {
    await postgres.query({ name: 'once', text, values });
  } finally {
    await postgres.close();
  }
}

export interface PostgresSettings {
  /** `on`: a commit is acknowledged once it is on disk. `off`: at once; it gets there within 0.6 s. */
  readonly synchronousCommit: 'on' | 'off';
  readonly connections: number;
}

/**
 * A fixed number of connections that take turns, each with many queries under way at once: faster than pg's pool, which
 * sends a connection one query at a time, whatever the pool's size (tried from 1 to 64).
 */
export async function connectPostgres(address: Address, settings: PostgresSettings): Promise<PostgresConnections> {
  const { synchronousCommit, connections } = settings;
  const connecting = Array.from({ length: connections }, async () => {
    const client = new pg.Client({
      host: loopback,
      port: Number(address['port']),
      user: postgresUser,
      database: 'postgres',
      options: `-c synchronous_commit=${synchronousCommit}`,
      pipeline: true,
    });
    // A query that is under way fails as well, and says so; when none is, nothing is lost.
    client.on('error', () => {});
    await client.connect();
    return client;
  });
  const clients = await Promise.all(connecting);
  let turn = 0;
  return {
    query: async ({ name, text, values }) =>
      await (clients[turn++ % clients.length] as pg.Client).query({ name, text, values: [...values] }),
    close: async () => void (await Promise.all(clients.map(async (client) => await client.end()))),
  };
}
