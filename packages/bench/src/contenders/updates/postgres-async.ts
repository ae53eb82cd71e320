import type { Contender, UpdateClient } from '../../contender.ts';
import { startPostgresService } from '../postgres-service.ts';
import { about, connectTable } from './postgres.ts';

const table = 'updates_async';
// There is no sync to share, and a further server process only costs. Tried with 64 and 256 updates in flight on two cores,
// in updates/s: 1: 43,000 and 45,000; 2: 46,000 and 57,000; 4: 44,000 and 48,000; 8: 35,000 and 40,000.
const connections = 2;

export const postgresAsync: Contender<UpdateClient> = {
  id: 'postgres-async',
  name: 'PostgreSQL, asynchronous commit',
  about: `${about} ${connections} connections; synchronous_commit off`,
  // A commit waits in the server's memory until the next write of its log.
  durability: 'memory',
  start: async (host) => await startPostgresService(host, table),
  connect: async (address) => await connectTable(address, table, { synchronousCommit: 'off', connections }),
};
