import { rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

const answerMs = 2_000;

/**
 * Sees to it that two servers never write to one data directory. Whoever holds it listens on a socket in it, which ends with
 * the process, however that ends.
 */
export interface Hold {
  /** What somebody else who wants the directory is told. */
  describe(text: string): void;
  release(): Promise<void>;
}

/** @returns the hold, or what the process that has it says */
export async function holdAlone(directory: string): Promise<Hold | { readonly heldBy: string }> {
  const address = socketIn(directory);
  const holder = await ask(address);
  if (holder !== undefined) return { heldBy: holder };
  // Left by a process that was killed.
  if (process.platform !== 'win32') await rm(address, { force: true });

  let description = `process ${process.pid}`;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(description);
  });
  try {
    await listen(server, address);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return { heldBy: 'a process that starts at this very moment' };
    // Some file systems have no sockets; a guard against a mistake is not worth refusing to start.
  }
  server.unref();
  return {
    describe: (text) => void (description = `process ${process.pid}, ${text}`),
    release: async () => await new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Relative where it can be: a socket's path may have about a hundred characters. */
function socketIn(directory: string): string {
  if (process.platform !== 'win32') return join(directory, 'running.sock');
  return `\\\\.\\pipe\\meshforge-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;
}

function listen(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, resolve);
  });
}

function ask(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(address).setEncoding('utf8').setTimeout(answerMs);
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.once('timeout', () => socket.destroy());
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(text === '' ? 'a process that does not answer' : text));
  });
}
