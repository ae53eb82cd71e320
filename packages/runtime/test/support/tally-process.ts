// A replica of the agent `tally` as a process of its own, to be killed or frozen.
import { startAgent } from '../../src/index.ts';
import { tally } from '../integration/tally.ts';

const { NATS_URL: servers = '', STREAM_REPLICAS: replicas = '1' } = process.env;

await startAgent(tally, {
  nats: { servers: servers.split(','), waitOnFirstConnect: true },
  streamReplicas: replicas === '3' ? 3 : 1,
});
process.stdout.write('serves\n');
