/**
 * A service as one builds it on PostgreSQL for what a commit of MeshForge is: asked by request/reply over NATS, and in one
 * statement, so in one transaction and one round trip, the versioned update, the event in an outbox and the command's id,
 * unique. What sends the outbox on is not here, and costs nothing in this comparison.
 *
 * `postgres-agent-service <nats url> <postgres port> <on|off>`
 */
import { connect } from '@nats-io/transport-node';
import { connectPostgres } from '../contenders/postgres-connections.ts';

const [url = '', port = '', synchronousCommit = 'on'] = process.argv.slice(2);
const subject = `postgres_agent_${synchronousCommit}`;
const table = subject;

interface Command {
  readonly entity_id: string;
  readonly expected_version: number;
  readonly command_id: string;
}

const text = `
  WITH changed AS (
    UPDATE ${table} SET version = version + 1, state = jsonb_build_object('name', state->'name', 'quantity', (state->'quantity')::int + 1)
    WHERE id = $1 AND version = $2 RETURNING version, state
  ), event AS (
    INSERT INTO ${table}_outbox (command_id, entity_id, version, state) SELECT $3, $1, version, state FROM changed
  )
  SELECT version, state FROM changed`;

const connections = synchronousCommit === 'on' ? 32 : 2;
const postgres = await connectPostgres(
  { port: Number(port) },
  { synchronousCommit: synchronousCommit === 'on' ? 'on' : 'off', connections },
);
const connection = await connect({ servers: url, name: subject });

async function handle(command: Command): Promise<string> {
  const values = [command.entity_id, command.expected_version, command.command_id];
  const { rows } = await postgres.query<{ version: number; state: object }>({ name: 'commit', text, values });
  return JSON.stringify(rows[0] ?? { conflict: command.expected_version });
}

connection.subscribe(subject, {
  queue: subject,
  callback: (_error, message) => {
    handle(message.json<Command>()).then(
      (answer) => message.respond(answer),
      (error: unknown) => message.respond(JSON.stringify({ error: String(error) })),
    );
  },
});
await connection.flush();
process.stdout.write('ready\n');
process.once('SIGTERM', () => process.exit(0));
