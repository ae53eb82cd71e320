import { access, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '@meshforge/processes';
import type { ServerSource } from './server-source.ts';

const keyrings = ['debian-archive-keyring.gpg', 'debian-archive-keyring.pgp'].map(
  (name) => `/usr/share/keyrings/${name}`,
);
const queryTimeoutMs = 10_000;
const networkTimeoutMs = 60_000;
const unpackTimeoutMs = 30_000;

/**
 * The package of Debian's newest suite, from the mirror that this machine's apt uses anyway and checked by apt against
 * Debian's archive keys. Needs no root and leaves the system alone: lists and cache lie in the temporary directory.
 */
export const debianPackage: ServerSource = {
  name: "Debian's package (suite sid)",
  async fetch({ directory }) {
    const keyring = await firstExisting(keyrings);
    if (keyring === undefined) throw new Error('not a Debian: no Debian archive keyring in /usr/share/keyrings');
    const apt = await privateApt(directory, `deb [signed-by=${keyring}] ${await mirror()} sid main\n`);
    await apt(['update']);
    await apt(['download', 'nats-server']);
    const deb = (await readdir(directory)).find((name) => name.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get download left no package');
    const root = join(directory, 'root');
    await runCommand('dpkg-deb', ['-x', join(directory, deb), root], { timeoutMs: unpackTimeoutMs });
    const binary = await firstExisting([join(root, 'usr/sbin/nats-server'), join(root, 'usr/bin/nats-server')]);
    if (binary === undefined) throw new Error(`${deb} holds no nats-server`);
    return binary;
  },
};

async function mirror(): Promise<string> {
  const args = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
  const lines = (await runCommand('apt-get', args, { timeoutMs: queryTimeoutMs })).split('\n');
  const uri = lines.map((line) => line.trim().replace(/\/+$/, '')).find((line) => line.endsWith('/debian'));
  if (uri === undefined) throw new Error('apt knows no Debian mirror (no source ends in /debian)');
  return uri;
}

/** An `apt-get` whose only source is `list`, and which writes below `directory` only. */
async function privateApt(directory: string, list: string): Promise<(args: readonly string[]) => Promise<void>> {
  const sources = join(directory, 'sid.list');
  const lists = join(directory, 'lists');
  const cache = join(directory, 'cache');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
  // A mirror's address may carry a password.
  await writeFile(sources, list, { mode: 0o600 });
  const settings = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::Lists=${lists}`,
    `Dir::Cache=${cache}`,
    'Acquire::Languages=none',
    // A silent mirror costs twice the timeout: apt asks it once more.
    'Acquire::Retries=0',
    'Acquire::http::Timeout=4',
    'Acquire::https::Timeout=4',
    // Without it a mirror out of reach is only a warning, and the download then fails for a reason that misleads.
    'APT::Update::Error-Mode=any',
  ].flatMap((setting) => ['-o', setting]);
  const env = { ...process.env, LC_ALL: 'C' };
  return async (args) => {
    await runCommand('apt-get', [...args, ...settings], { timeoutMs: networkTimeoutMs, cwd: directory, env });
  };
}

async function firstExisting(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
