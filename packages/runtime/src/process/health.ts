import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

/** Answers `/livez` (the process runs) and `/readyz` (it can serve now) on 127.0.0.1. */
export interface HealthEndpoint {
  readonly port: number;
  close(): Promise<void>;
}

/** @param port 0 = any free one */
export async function serveHealth(port: number, ready: () => boolean): Promise<HealthEndpoint> {
  const server: Server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (path !== '/livez' && path !== '/readyz') {
      response.writeHead(404).end('expected /livez or /readyz\n');
      return;
    }
    const ok = path === '/livez' || ready();
    response.writeHead(ok ? 200 : 503, { 'content-type': 'text/plain' }).end(ok ? 'ok\n' : 'not ready\n');
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}
