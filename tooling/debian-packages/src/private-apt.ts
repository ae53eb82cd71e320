import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '@meshforge/processes';

const keyrings = ['debian-archive-keyring.gpg', 'debian-archive-keyring.pgp'].map(
  (name) => `/usr/share/keyrings/${name}`,
);
const queryTimeoutMs = 10_000;
const networkTimeoutMs = 180_000;

/** Runs `apt-get` with some arguments; what it downloads by `download` lands in the directory it was made with. */
export type Apt = (...args: readonly string[]) => Promise<void>;

/**
 * An `apt-get` that needs no root and leaves the system alone: its lists and its cache lie below `directory`. It reads the
 * machine's own sources, or `sources`, the lines of a list, instead of them. A mirror out of reach is an error within
 * seconds, eight at most for each source. The machine's configuration holds otherwise: proxies, passwords, keys.
 */
export async function privateApt(directory: string, sources?: string): Promise<Apt> {
  const lists = join(directory, 'lists');
  const cache = join(directory, 'cache');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
  const settings = [
    `Dir::State::Lists=${lists}`,
    `Dir::Cache=${cache}`,
    // The locks it would take are the system's.
    'Debug::NoLocking=1',
    'Acquire::Languages=none',
    // A silent mirror costs twice the timeout: apt asks it once more.
    'Acquire::Retries=0',
    'Acquire::http::Timeout=4',
    'Acquire::https::Timeout=4',
    // Without it a mirror out of reach is only a warning, and the download then fails for a reason that misleads.
    'APT::Update::Error-Mode=any',
  ];
  if (sources !== undefined) {
    const list = join(directory, 'sources.list');
    // A mirror's address may carry a password.
    await writeFile(list, sources, { mode: 0o600 });
    settings.push(`Dir::Etc::sourcelist=${list}`, 'Dir::Etc::sourceparts=/dev/null');
  }
  const options = settings.flatMap((setting) => ['-o', setting]);
  const env = { ...process.env, LC_ALL: 'C' };
  return async (...args) => {
    await runCommand('apt-get', [...args, ...options], { timeoutMs: networkTimeoutMs, cwd: directory, env });
  };
}

/** A source line for a suite of Debian, from the mirror that this machine's apt uses anyway, checked against Debian's keys. */
export async function debianSuite(suite: string): Promise<string> {
  const keyring = await firstExisting(keyrings);
  if (keyring === undefined) throw new Error('not a Debian: no Debian archive keyring in /usr/share/keyrings');
  const args = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
  const lines = (await runCommand('apt-get', args, { timeoutMs: queryTimeoutMs })).split('\n');
  const mirror = lines.map((line) => line.trim().replace(/\/+$/, '')).find((line) => line.endsWith('/debian'));
  if (mirror === undefined) throw new Error('apt knows no Debian mirror (no source ends in /debian)');
  return `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`;
}

export async function firstExisting(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
