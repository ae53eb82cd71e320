import { join } from 'node:path';
import { buildIntoPlace, cacheHome, firstExisting } from '@meshforge/debian-packages';
import { runCommand, tellWhileSlow, type OnProgress } from '@meshforge/processes';

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
}

/** Large, and from wherever the user's npm takes its packages. */
const installTimeoutMs = 10 * 60_000;

/**
 * A package that is too big to be a dependency of everybody: fetched with the user's own npm into the user's cache at its
 * first use. Answers its directory. Its scripts do not run.
 */
export async function fetchNpmPackage({ name, version }: NpmPackage, onProgress: OnProgress): Promise<string> {
  const parent = join(cacheHome(process.env), 'meshforge', 'npm');
  const place = `${name.replace('/', '+')}@${version}`;
  const inPlace = join(parent, place, 'node_modules', name);
  if ((await firstExisting([inPlace])) !== undefined) return inPlace;
  const fetching = buildIntoPlace(parent, async (directory) => {
    const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
    const args = ['install', '--prefix', directory, '--ignore-scripts', ...quiet, `${name}@${version}`];
    await runCommand('npm', args, { timeoutMs: installTimeoutMs, cwd: directory });
    return { built: directory, name: place };
  });
  await tellWhileSlow(onProgress, `fetching ${name}@${version} with npm`, fetching);
  return inPlace;
}
