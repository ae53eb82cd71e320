import pg from 'pg';
import type { Address, Contender, ContendedLockClient } from '../../contender.ts';
import { postgresUser } from '../../servers/postgres.ts';
import { loopback } from '../../servers/server.ts';
import { startPostgresService } from '../postgres-service.ts';

/** The 500 clients of the full run, and some that PostgreSQL keeps for its superuser. */
const maxConnections = 550;

const lockQuery = { name: 'lock', text: 'SELECT pg_advisory_lock(hashtextextended($1, 0))' };
const unlockQuery = { name: 'unlock', text: 'SELECT pg_advisory_unlock(hashtextextended($1, 0)) AS done' };

function connect({ port }: Address): Promise<ContendedLockClient> {
  let queries = 0;
  return Promise.resolve({
    async waiter() {
      const client = new pg.Client({ host: loopback, port: Number(port), user: postgresUser, database: 'postgres' });
      // A query that is under way fails as well, and says so; when none is, nothing is lost.
      client.on('error', () => {});
      await client.connect();
      return {
        lock: async (resource) => {
          queries++;
          await client.query({ ...lockQuery, values: [resource] });
          return async () => {
            queries++;
            const { rows } = await client.query<{ done: boolean }>({ ...unlockQuery, values: [resource] });
            if (rows[0]?.done !== true) throw new Error(`${resource} was not locked`);
          };
        },
        close: async () => await client.end(),
      };
    },
    messages: () => Promise.resolve(2 * queries),
    close: () => Promise.resolve(),
  });
}

export const postgresAdvisory: Contender<ContendedLockClient> = {
  id: 'postgres-advisory',
  name: 'PostgreSQL, advisory lock',
  about: `pg_advisory_lock, which waits, first come first, and pg_advisory_unlock of a session; nothing is written, so fsync does not matter; pg, prepared, max_connections = ${maxConnections}`,
  durability: 'memory',
  start: async (host) => await startPostgresService(host, undefined, { maxConnections }),
  connect,
};
