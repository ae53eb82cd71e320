import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { locateNatsServer, NatsServerStartFailed, startNatsServer, type NatsServer } from '@meshforge/nats-server';
import type { CleanUp } from './clean-up.ts';
import type { Narrator, Say } from './narrator.ts';
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
export async function startLocalServer(home: string, cleanUp: CleanUp, narrator: Narrator): Promise<LocalServer> {
  await mkdir(home, { recursive: true });
  const hold = await holdAlone(home);
  if ('heldBy' in hold) {
    throw new Error(`this checkout runs already (${hold.heldBy}). Use that one, or stop it first.`);
  }
  cleanUp.add(() => hold.release());
  const { server } = await narrator.step(
    'starting a NATS server',
    (tell) => startOnAPort(join(home, 'nats'), narrator, tell),
    (started) => `nats-server ${started.version} on ${started.server.url}, for this machine only`,
  );
  cleanUp.add(() => server.stop());
  hold.describe(server.url);
  const died = server.exited.then(({ code, signal }) => {
    const log = server.logs().trimEnd().split('\n').slice(-shownLogLines).join('\n    ');
    throw new Error(`the NATS server ended with ${signal ?? `code ${code}`}. The end of its log:\n    ${log}`);
  });
  died.catch(() => undefined);
  return { url: server.url, died };
}

async function startOnAPort(
  dataDir: string,
  { say, detail }: Narrator,
  tell: Say,
): Promise<{ server: NatsServer; version: string }> {
  const { path, version, source } = await locateNatsServer({ onProgress: tell });
  detail(`  nats-server ${version} (${source}: ${path}), data in ${dataDir}`);
  const options = { binary: path, dataDir, onProgress: tell };
  try {
    return { server: await startNatsServer({ ...options, port: usualPort }), version };
  } catch (error) {
    if (!(error instanceof NatsServerStartFailed && error.isPortClash)) throw error;
    const server = await startNatsServer(options);
    say(`  port ${usualPort} is taken by something else, so this one listens on ${server.port}`);
    say(`  (if that is a NATS server to use: NATS_URL=nats://127.0.0.1:${usualPort} npm start)`);
    return { server, version };
  }
}
