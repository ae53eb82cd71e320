import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below the range that Linux (32768) and macOS (49152) hand to outgoing connections: while a killed server is down, no
// connection, least of all the client's own attempts to reconnect, can take its port. A port that the server picks itself
// with `-p -1` lies inside that range.
const lowest = 20_000;
const beyond = 32_000;
const maxTries = 1_000;

const handedOut = new Set<number>();

/** Picks ports that nobody listens on and that this process was not given before. Another process may still win the race. */
export async function pickFreePorts(host: string, count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries >= maxTries) throw new Error(`no free port between ${lowest} and ${beyond} on ${host}`);
    const port = randomInt(lowest, beyond);
    if (handedOut.has(port) || !(await isFree(host, port))) continue;
    handedOut.add(port);
    ports.push(port);
  }
  return ports;
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
