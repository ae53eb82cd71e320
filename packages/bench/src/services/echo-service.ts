/** The bare service: answers each request with its own body. Nothing is stored. */
import { connect } from '@nats-io/transport-node';

const connection = await connect({ servers: String(process.argv[2]), name: 'echo' });
connection.subscribe('echo', { queue: 'echo', callback: (_error, message) => void message.respond(message.data) });
await connection.flush();
process.stdout.write('ready\n');
process.once('SIGTERM', () => void connection.close().then(() => process.exit(0)));
