import { delimiter, isAbsolute, join } from 'node:path';
import { cacheHome } from '@meshforge/debian-packages';

/** Where packages and Homebrew put servers; /usr/sbin is often not on a user's PATH. */
export const SYSTEM_DIRECTORIES: readonly string[] = [
  '/usr/sbin',
  '/usr/local/bin',
  '/opt/homebrew/bin',
  '/home/linuxbrew/.linuxbrew/bin',
];

const executable = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';

/** The files to look at, in order: each directory of PATH, then the system's, each once. */
export function installedCandidates(path: string, systemDirectories: readonly string[]): string[] {
  const directories = [...path.split(delimiter), ...systemDirectories].filter((directory) => isAbsolute(directory));
  return [...new Set(directories)].map((directory) => join(directory, executable));
}

/** The one file of the cache, named after the machine's kind because homes are shared over networks. */
export function cachedServerPath(env: NodeJS.ProcessEnv): string {
  const name = `nats-server-${process.platform}-${process.arch}`;
  return join(cacheHome(env), 'meshforge', process.platform === 'win32' ? `${name}.exe` : name);
}
