import { readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/**
 * The environment in which programs find each other and their libraries below `root`, before those of the machine.
 * `env` is what it adds to; default: this process's own.
 */
export async function programEnvironment(
  root: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<NodeJS.ProcessEnv> {
  return {
    ...env,
    PATH: [...(await programDirectories(root)), env['PATH']].filter(Boolean).join(delimiter),
    LD_LIBRARY_PATH: [...(await libraryDirectories(root)), env['LD_LIBRARY_PATH']].filter(Boolean).join(delimiter),
  };
}

/** Where the programs of unpacked packages lie, PostgreSQL's own directory included. */
export async function programDirectories(root: string): Promise<string[]> {
  const versions = await existing(join(root, 'usr/lib/postgresql'));
  const postgresql = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => `usr/lib/postgresql/${version}/bin`);
  return [...postgresql, 'usr/local/bin', 'usr/bin', 'usr/sbin', 'bin', 'sbin'].map((path) => join(root, path));
}

async function libraryDirectories(root: string): Promise<string[]> {
  const parents = ['usr/lib', 'lib'].map((path) => join(root, path));
  const triplets = await Promise.all(
    parents.map(async (parent) =>
      (await existing(parent)).filter((name) => name.includes('-linux-gnu')).map((name) => join(parent, name)),
    ),
  );
  return [...triplets.flat(), ...parents];
}

async function existing(directory: string): Promise<string[]> {
  return await readdir(directory).catch(() => []);
}
