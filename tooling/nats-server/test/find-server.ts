import { locateNatsServer } from '../src/locate-nats-server.ts';

/** Runs once, before all tests: a first download may take longer than a test may. Without a server, everything fails here. */
export async function setup(): Promise<void> {
  await locateNatsServer({ onProgress: (line) => void process.stderr.write(`${line}\n`) });
}
