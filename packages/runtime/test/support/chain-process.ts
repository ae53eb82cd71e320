// The whole chain as one process, to be killed: three agents and the two reactions between them.
import { connectMesh } from '../../src/index.ts';
import { first, follow, second, startChainAgents, third } from './chain.ts';

const { NATS_URL: servers = '', STREAM_REPLICAS: replicas = '1' } = process.env;

await startChainAgents(servers, replicas === '3' ? 3 : 1);
const mesh = await connectMesh({ servers: servers.split(','), waitOnFirstConnect: true });
await Promise.all([follow(mesh, first, second), follow(mesh, second, third)]);
process.stdout.write('serves\n');
