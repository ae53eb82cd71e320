import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { locateNatsServer, NatsServerStartFailed, startNatsServer, type NatsServer } from '@meshforge/nats-server';
import type { CleanUp } from './clean-up.ts';
import type { Say } from './narrator.ts';
import { holdAlone } from './only-one.ts';

const usualPort = 4222;
const shownLogLines = 20;

/** A server of our own and how it can end. */
export interface LocalServer {
  readonly url: string;
  /** Rejects with the tail of its log when it ends before it is stopped. */
  readonly died: Promise<never>;
}

/**
 * Starts the server of this checkout, with its data in `home`: on port 4222, or on a free one where that is taken.
 * @throws Error that says what to do, also when another process runs it already
 */
export async function startLocalServer(home: string, cleanUp: CleanUp, say: Say): Promise<LocalServer> {
  say('· starting a NATS server');
  await mkdir(home, { recursive: true });
  const hold = await holdAlone(home);
  if ('heldBy' in hold) {
    throw new Error(`this checkout runs already (${hold.heldBy}). Use that one, or stop it first.`);
  }
  cleanUp.add(() => hold.release());
  const server = await startOnAPort(join(home, 'nats'), say);
  cleanUp.add(() => server.stop());
  hold.describe(server.url);
  say(`  it listens on ${server.url}, for this machine only; data in ${server.dataDir}`);
  const died = server.exited.then(({ code, signal }) => {
    const log = server.logs().trimEnd().split('\n').slice(-shownLogLines).join('\n    ');
    throw new Error(`the NATS server ended with ${signal ?? `code ${code}`}. The end of its log:\n    ${log}`);
  });
  died.catch(() => undefined);
  return { url: server.url, died };
}

async function startOnAPort(dataDir: string, say: Say): Promise<NatsServer> {
  const onProgress = (line: string): void => say(`  … ${line}`);
  const { path, version, source } = await locateNatsServer({ onProgress });
  say(`  nats-server ${version} (${source}: ${path})`);
  const options = { binary: path, dataDir, onProgress };
  try {
    return await startNatsServer({ ...options, port: usualPort });
  } catch (error) {
    if (!(error instanceof NatsServerStartFailed && error.isPortClash)) throw error;
    const server = await startNatsServer(options);
    say(`  port ${usualPort} is taken by something else, so this one listens on ${server.port}`);
    say(`  (if that is a NATS server to use: NATS_URL=nats://127.0.0.1:${usualPort} npm start)`);
    return server;
  }
}
