import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pnpm } from './pnpm.mjs';

const stampFile = 'node_modules/.meshforge-install';

/**
 * Whether node_modules is what the lockfile asks for.
 *
 * @param {string} root
 */
export function isInstalled(root) {
  const stamp = join(root, stampFile);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint(root);
}

/**
 * Installs exactly what the lockfile says, also where NODE_ENV is `production`.
 *
 * @param {string} root
 * @param {Parameters<typeof pnpm>[2]} options
 */
export async function install(root, options) {
  const result = await pnpm(root, ['install', '--frozen-lockfile', '--prod=false'], options);
  if (result.code === 0) stampInstalled(root);
  return result;
}

/**
 * Notes that node_modules is what the lockfile asks for now.
 *
 * @param {string} root
 */
export function stampInstalled(root) {
  writeFileSync(join(root, stampFile), fingerprint(root));
}

/**
 * Everything that decides what belongs into node_modules: the lockfile, the manifests, the machine.
 *
 * @param {string} root
 */
function fingerprint(root) {
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...packageManifests(root)];
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const file of files) hash.update(`${file}\n`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** @param {string} root */
function packageManifests(root) {
  return ['packages', 'apps', 'tooling']
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}/package.json`))
    .filter((file) => existsSync(join(root, file)))
    .sort();
}
