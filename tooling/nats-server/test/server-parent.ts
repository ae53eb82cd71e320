// A process of its own for guard.long.test.ts: starts a server, says so in one line, and ends as it is told.
import { startNatsServer } from '../src/start-nats-server.ts';

const ending = process.argv[2];
const server = await startNatsServer();
process.stdout.write(`${JSON.stringify({ pid: server.pid, dataDir: server.dataDir })}\n`, () => {
  if (ending === 'exit') process.exit(7);
  if (ending === 'throw') throw new Error('thrown on purpose');
});
