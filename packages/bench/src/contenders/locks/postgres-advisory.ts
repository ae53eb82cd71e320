import pg from 'pg';
import type { Address, Contender, LockClient } from '../../contender.ts';
import { postgresUser } from '../../servers/postgres.ts';
import { loopback } from '../../servers/server.ts';
import { startPostgresService } from '../postgres-service.ts';

/** A lock belongs to the connection that took it and is held on it, so each of the 32 resources may need its own. */
const connections = 32;

interface Answer {
  readonly done: boolean;
}

const lockQuery = { name: 'lock', text: 'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS done' };
const unlockQuery = { name: 'unlock', text: 'SELECT pg_advisory_unlock(hashtextextended($1, 0)) AS done' };

function connect({ port }: Address): Promise<LockClient> {
  const pool = new pg.Pool({
    host: loopback,
    port: Number(port),
    user: postgresUser,
    database: 'postgres',
    max: connections,
  });
  // Of an idle connection that the server has closed.
  pool.on('error', () => {});
  return Promise.resolve({
    lock: async (resource: string) => {
      const client = await pool.connect();
      const { rows } = await client.query<Answer>({ ...lockQuery, values: [resource] });
      if (rows[0]?.done !== true) {
        client.release();
        throw new Error(`${resource} is locked`);
      }
      return async () => {
        const unlocked = await client.query<Answer>({ ...unlockQuery, values: [resource] });
        client.release();
        if (unlocked.rows[0]?.done !== true) throw new Error(`${resource} was no longer locked`);
      };
    },
    close: async () => await pool.end(),
  });
}

export const postgresAdvisory: Contender<LockClient> = {
  id: 'postgres-advisory',
  name: 'PostgreSQL, advisory lock',
  about: 'pg_try_advisory_lock and pg_advisory_unlock of a session; pg, prepared, 32 connections',
  durability: 'memory',
  start: startPostgresService,
  connect,
};
