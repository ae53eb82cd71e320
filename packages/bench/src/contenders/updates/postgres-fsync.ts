import type { Contender, UpdateClient } from '../../contender.ts';
import { startPostgresService } from '../postgres-service.ts';
import { about, connectTable } from './postgres.ts';

const table = 'updates_fsync';
// A connection commits one after the other, so only connections share a sync. Tried with 64 and 256 updates in flight on two
// cores, in updates/s: 1: 7,000; 8: 18,000; 16: 22,000 and 24,000; 32: 22,000 and 28,000; 64: 22,000 with 256.
const connections = 32;

export const postgresFsync: Contender<UpdateClient> = {
  id: 'postgres-fsync',
  name: 'PostgreSQL, fsync',
  about: `${about} ${connections} connections; synchronous_commit on, its default`,
  durability: 'fsync',
  start: async (host) => await startPostgresService(host, table),
  connect: async (address) => await connectTable(address, table, { synchronousCommit: 'on', connections }),
};
