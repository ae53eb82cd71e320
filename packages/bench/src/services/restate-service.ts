/** The service behind Restate, a process of its own: `restate-service <port>`. */
import { createServer } from 'node:http2';
import { createEndpointHandler } from '@restatedev/restate-sdk';
import './promise-with-resolvers.ts';
import { loopback } from '../servers/server.ts';
import { counter } from './restate-counter.ts';
import { item } from './restate-item.ts';

// Not the SDK's own `serve`, which would listen on every interface.
createServer(createEndpointHandler({ services: [item, counter] })).listen(Number(process.argv[2]), loopback, () => {
  process.send?.('serving');
});
process.once('disconnect', () => process.exit(1));
