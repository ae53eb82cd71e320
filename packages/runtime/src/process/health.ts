import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

/** Answers `/livez` (the process runs) and `/readyz` (it can serve now) on 127.0.0.1. */
export interface HealthEndpoint {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * @param port 0 = any free one
 * @param problems why the process cannot serve now; empty: it can
 */
export async function serveHealth(port: number, problems: () => readonly string[]): Promise<HealthEndpoint> {
  const server: Server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (path !== '/livez' && path !== '/readyz') {
      response.writeHead(404).end('expected /livez or /readyz\n');
      return;
    }
    const why = path === '/livez' ? [] : problems();
    const [status, lines] = why.length === 0 ? [200, ['ok']] : [503, ['not ready', ...why]];
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${lines.join('\n')}\n`);
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
