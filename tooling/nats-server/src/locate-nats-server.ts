import { access, mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { afterOthers, tellNobody, tellWhileSlow, type OnProgress } from '@meshforge/processes';
import { debianPackage } from './debian-package.ts';
import { NatsServerNotFound, type FailedAttempt } from './errors.ts';
import { fetchIntoCache } from './fetch-into-cache.ts';
import { cachedServerPath, installedCandidates, SYSTEM_DIRECTORIES } from './known-places.ts';
import { releaseArchive } from './release-archive.ts';
import type { ServerSource } from './server-source.ts';
import { probeVersion } from './server-version.ts';

/** Everything has a default; the last two exist for tests and unusual machines. */
export interface LocateOptions {
  /** Told about anything that takes longer than two seconds. */
  readonly onProgress?: OnProgress;
  /** Read for MESHFORGE_NATS_SERVER, PATH, XDG_CACHE_HOME and HOME. Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Looked through after PATH. Default: `/usr/sbin`, `/usr/local/bin` and Homebrew's. */
  readonly systemDirectories?: readonly string[];
  /** Tried in order when the machine has no server. Default: the release archive, then Debian's package. */
  readonly sources?: readonly ServerSource[];
}

/** A server that runs here and is new enough. */
export interface LocatedServer {
  readonly path: string;
  /** Without a leading `v`. */
  readonly version: string;
  /** For people: how it was found. */
  readonly source: string;
}

/**
 * Finds a nats-server, or fetches one into the user's cache. In order: the file that MESHFORGE_NATS_SERVER names (and no
 * other, when it is set), PATH and the usual directories, the cache, the sources. A server that is too old or cannot run is
 * passed over. Throws `NatsServerNotFound` with every reason. NATS_URL is the caller's business: with it, start nothing.
 */
export async function locateNatsServer(options: LocateOptions = {}): Promise<LocatedServer> {
  const { env = process.env, systemDirectories = SYSTEM_DIRECTORIES, onProgress = tellNobody } = options;
  const named = env['MESHFORGE_NATS_SERVER'];
  if (named) return await namedServer(named);

  const attempts: FailedAttempt[] = [];
  const installed = installedCandidates(env['PATH'] ?? '', systemDirectories);
  const cached = cachedServerPath(env);
  const places = [...installed.map((path) => ({ path, source: 'installed' })), { path: cached, source: 'cache' }];
  for (const { path, source } of places) {
    if (!(await exists(path))) continue;
    try {
      return { path, version: await probeVersion(path), source };
    } catch (error) {
      attempts.push({ source, reason: messageOf(error) });
    }
  }
  if (attempts.length === 0) attempts.push({ source: 'installed', reason: 'none on PATH or in the usual directories' });

  const sources = options.sources ?? [releaseArchive, debianPackage];
  try {
    await mkdir(dirname(cached), { recursive: true });
    const fetching = afterOthers(
      `${cached}.lock`,
      async () => await fetchServer(cached, sources, attempts, onProgress),
    );
    const fetched = await tellWhileSlow(onProgress, 'fetching a nats-server into the cache', fetching);
    if (fetched !== undefined) return fetched;
  } catch (error) {
    attempts.push({ source: 'cache', reason: `${messageOf(error)} (set XDG_CACHE_HOME to a directory you can write)` });
  }
  throw new NatsServerNotFound(attempts);
}

async function fetchServer(
  cached: string,
  sources: readonly ServerSource[],
  attempts: FailedAttempt[],
  onProgress: OnProgress,
): Promise<LocatedServer | undefined> {
  // Another process may have put one there a moment ago.
  const version = await probeVersion(cached).catch(() => undefined);
  if (version !== undefined) return { path: cached, version, source: 'cache' };
  for (const source of sources) {
    try {
      return { path: cached, version: await fetchIntoCache(source, cached, onProgress), source: source.name };
    } catch (error) {
      attempts.push({ source: source.name, reason: messageOf(error) });
    }
  }
  return undefined;
}

async function namedServer(named: string): Promise<LocatedServer> {
  const source = 'MESHFORGE_NATS_SERVER';
  // Made absolute: a bare name would be looked up on PATH.
  const path = resolve(named);
  try {
    return { path, version: await probeVersion(path), source };
  } catch (error) {
    throw new NatsServerNotFound([
      { source, reason: `${messageOf(error)} (unset it to let MeshForge look elsewhere)` },
    ]);
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
