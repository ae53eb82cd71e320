// A fresh machine has npm and no pnpm: npx fetches the very version that package.json names, once.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.mjs';

/**
 * The version in `packageManager`, without its hash.
 *
 * @param {string} packageManager such as `pnpm@10.34.9+sha512.…`
 */
export function pnpmVersion(packageManager) {
  const version = /^pnpm@(\d+\.\d+\.\d+)/.exec(packageManager)?.[1];
  if (version === undefined)
    throw new Error(`packageManager in package.json is ${packageManager}: expected pnpm@x.y.z`);
  return version;
}

/**
 * Runs pnpm in the repository; what it runs finds pnpm on PATH, as turbo needs it.
 *
 * @param {string} root
 * @param {readonly string[]} args
 * @param {Omit<Parameters<typeof runCommand>[2], 'cwd'>} options env: on top of what this process has
 */
export async function pnpm(root, args, options) {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const env = {
    ...process.env,
    ...options.env,
    npm_config_update_notifier: 'false',
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  };
  try {
    // --prefer-offline: what npx has fetched once needs no network again.
    const command = ['-y', '--prefer-offline', `pnpm@${pnpmVersion(packageManager)}`, ...args];
    return await runCommand('npx', command, { ...options, cwd: root, env });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    throw new Error(
      'npx is not on PATH. It comes with npm and Node: install Node from https://nodejs.org, then try again.',
      {
        cause: error,
      },
    );
  }
}
