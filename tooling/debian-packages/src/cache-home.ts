import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Where a user keeps what can be fetched again. `env` is read for XDG_CACHE_HOME and HOME. */
export function cacheHome(env: NodeJS.ProcessEnv): string {
  const configured = env['XDG_CACHE_HOME'];
  // The XDG specification says that a relative path is to be ignored.
  if (configured !== undefined && isAbsolute(configured)) return configured;
  return join(env['HOME'] || homedir(), '.cache');
}
