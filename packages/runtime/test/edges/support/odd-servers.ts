/** Servers that an agent cannot stand on. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { locateNatsServer } from '@meshforge/nats-server';

export interface OddServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** A real server on which nobody turned JetStream on. */
export async function startWithoutJetStream(): Promise<OddServer> {
  const { path } = await locateNatsServer();
  const child = spawn(path, ['-a', '127.0.0.1', '-p', '-1'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  const lines = createInterface(child.stderr);
  for await (const line of lines) {
    const port = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) {
      child.stderr.resume();
      return { url: `nats://127.0.0.1:${port}`, stop };
    }
  }
  await stop();
  throw new Error('nats-server without JetStream did not start');
}

/** What says that it is a NATS server of some version, and answers to pings and to nothing else. */
export async function startOfVersion(version: string): Promise<OddServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const info = { server_id: 'old', version, headers: true, max_payload: 1_048_576, jetstream: true, proto: 1 };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (text: string) => {
      for (const line of text.split('\r\n')) if (line === 'PING') socket.write('PONG\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      if (server.listening) await once(server, 'close');
    },
  };
}
