import { readFileSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The absolute path of a file of the repository. */
export function shippedPath(path: string): string {
  return join(repository, path);
}

export function shippedText(path: string): string {
  return readFileSync(shippedPath(path), 'utf8');
}

/**
 * Copies `deploy/nats` into a directory, less what a test on one machine has to decide itself: where JetStream keeps its
 * data (the server refuses it from two places), and for a cluster its TLS, since no certificate is at hand.
 */
export async function copyConfigurations(directory: string): Promise<void> {
  const source = shippedPath('deploy/nats');
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(source)) {
    if (!name.endsWith('.conf')) await copyFile(join(source, name), join(directory, name));
    else await writeFile(join(directory, name), withoutPlace(await readFile(join(source, name), 'utf8')));
  }
}

const dataPlace = /^ *store_dir:.*\n/gm;
const includedTls = /^include "production-tls\.conf"\n/gm;
const routeTls = /^ {2}tls \{\n(?: {4}.*\n)* {2}\}\n/gm;

function withoutPlace(configuration: string): string {
  return configuration.replace(dataPlace, '').replace(includedTls, '').replace(routeTls, '');
}
