/** A row for each entity, and an update that matches it only at its version. */
import type { Address, UpdateClient } from '../../contender.ts';
import { connectPostgres, type PostgresSettings } from '../postgres-connections.ts';

export const about = 'UPDATE … WHERE id = $ AND version = $, state in jsonb; pg, prepared and pipelined on';

interface Versioned {
  readonly version: number;
}

export async function connectTable(address: Address, table: string, settings: PostgresSettings): Promise<UpdateClient> {
  const postgres = await connectPostgres(address, settings);
  const insert = `INSERT INTO ${table} (id, version, state) SELECT unnest($1::text[]), 1, $2`;
  const text = `UPDATE ${table} SET state = $1, version = version + 1 WHERE id = $2 AND version = $3 RETURNING version`;
  return {
    create: async (entities) => {
      await postgres.query({
        name: 'insert',
        text: insert,
        values: [entities, JSON.stringify({ name: 'bolt', quantity: 1_000 })],
      });
      return entities.map(() => 1);
    },
    update: async (entity, version) => {
      const state = JSON.stringify({ name: 'bolt', quantity: 1_000 + version });
      const { rows } = await postgres.query<Versioned>({ name: 'update', text, values: [state, entity, version] });
      if (rows[0] === undefined) throw new Error(`${entity} is not at version ${version}`);
      return rows[0].version;
    },
    close: async () => await postgres.close(),
  };
}
