import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterOthers, tellNobody, tellWhileSlow, type OnProgress } from '@meshforge/processes';
import { buildIntoPlace } from './build-into-place.ts';
import { cacheHome } from './cache-home.ts';
import { privateApt } from './private-apt.ts';
import { unpackDeb } from './unpack-deb.ts';

export interface UnpackOptions {
  readonly packages: readonly string[];
  /** Told about anything that takes longer than two seconds. */
  readonly onProgress?: OnProgress;
  /** Read for XDG_CACHE_HOME and HOME. Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Between the packages of one directory's name; cannot occur in a package's name or version. */
const separator = ',';

/**
 * Unpacks packages, and those of their dependencies that the machine lacks, into the user's cache; answers the root
 * directory of the files. They come from the machine's own suite through its own sources. Needs no root and leaves the
 * system alone, so the packages' scripts do not run. What lies in the cache is used again without asking anybody. Throws a
 * one-line reason, within seconds when no mirror can be reached.
 */
export async function unpackDebianPackages(options: UnpackOptions): Promise<string> {
  const { packages, onProgress = tellNobody, env = process.env } = options;
  // Of the suite that it was unpacked on and for: homes are shared over networks, and systems are upgraded.
  const parent = join(cacheHome(env), 'meshforge', 'debian', `${await systemName()}-${process.arch}`);
  const cached = await findCached(parent, packages);
  if (cached !== undefined) return cached;
  await mkdir(parent, { recursive: true });
  const fetching = afterOthers(
    join(parent, `.${packages.join(separator)}.lock`),
    async () => (await findCached(parent, packages)) ?? (await fetchPackages(parent, packages)),
  );
  return await tellWhileSlow(onProgress, `fetching ${packages.join(', ')} from Debian's packages`, fetching);
}

async function findCached(parent: string, packages: readonly string[]): Promise<string | undefined> {
  const names = await readdir(parent).catch(() => []);
  const found = names.filter((name) => namesOf(name.split(separator)).join() === packages.join()).sort();
  const newest = found.at(-1);
  return newest === undefined ? undefined : join(parent, newest);
}

/** Of files such as `etcd-server_3.4.23-4+b4_amd64.deb`. */
function namesOf(files: readonly string[]): (string | undefined)[] {
  return files.map((file) => file.split('_')[0]);
}

async function fetchPackages(parent: string, packages: readonly string[]): Promise<string> {
  return await buildIntoPlace(parent, async (directory) => {
    const debs = await download(directory, packages);
    const named = packages.map((name) => debs.find((deb) => namesOf([deb]).join() === name));
    const missing = packages.filter((_, index) => named[index] === undefined);
    if (missing.length > 0) throw new Error(`apt-get left no package of ${missing.join(', ')}`);
    const root = join(directory, 'root');
    for (const deb of debs) await unpackDeb(join(directory, 'cache', 'archives', deb), root);
    // Without the epoch, which a file's name escapes.
    const name = named.map((deb) => deb?.replace(/\.deb$/, '').replace(/_\d+%3a/, '_')).join(separator);
    return { built: root, name };
  });
}

async function download(directory: string, packages: readonly string[]): Promise<string[]> {
  const apt = await privateApt(directory);
  // One source out of reach need not be the one that is wanted; if it is, it is the reason.
  const unreachable = await apt('update').then(
    () => undefined,
    (error: unknown) => error,
  );
  try {
    // Reinstalled, since who asks for a package wants its files also where the machine has it.
    const how = ['--download-only', '--reinstall', '--no-install-recommends', '-y'];
    await apt('install', ...how, ...packages);
  } catch (error) {
    throw unreachable ?? error;
  }
  return (await readdir(join(directory, 'cache', 'archives'))).filter((name) => name.endsWith('.deb'));
}

async function systemName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => undefined);
  const value = (key: string): string => new RegExp(`^${key}="?([^"\\n]*)`, 'm').exec(text ?? '')?.[1] ?? '';
  if (!/\bdebian\b/.test(`${value('ID')} ${value('ID_LIKE')}`)) throw new Error('not a Debian or a system made of one');
  return `${value('ID')}-${value('VERSION_CODENAME')}`;
}
