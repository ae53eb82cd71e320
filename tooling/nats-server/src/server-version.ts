import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import semver from 'semver';
import { runCommand } from '@meshforge/processes';
import { MINIMUM_VERSION } from './versions.ts';

const probeTimeoutMs = 10_000;
const busyRetries = 5;
const busyPauseMs = 50;

/**
 * The version a binary answers to `--version`, without the leading `v`. Throws when the file is missing, cannot run here,
 * is not a nats-server, or is older than MeshForge needs.
 */
export async function probeVersion(path: string): Promise<string> {
  const output = await askVersion(path);
  const version = /nats-server:? v?(\d+\.\d+\.\d+\S*)/.exec(output)?.[1];
  const parsed = semver.parse(version, { loose: true });
  if (version === undefined || parsed === null) {
    throw new Error(`${path} is not a nats-server: --version answered ${JSON.stringify(output.trim().slice(0, 80))}`);
  }
  if (semver.lt(parsed, MINIMUM_VERSION)) {
    throw new Error(`${path} is version ${version}, older than ${MINIMUM_VERSION}`);
  }
  return version;
}

async function askVersion(path: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await runCommand(path, ['--version'], { timeoutMs: probeTimeoutMs });
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOENT') throw new Error(await whatIsAbsent(path), { cause: error });
      if (code === 'EACCES') throw new Error(`${path} is not an executable file`, { cause: error });
      // A file that was written a moment ago is busy while any child forked meanwhile has not reached its exec yet.
      if (code !== 'ETXTBSY' || attempt >= busyRetries) throw error;
      await sleep(busyPauseMs);
    }
  }
}

/** The system says "no such file" also for a program whose loader or interpreter is absent. */
async function whatIsAbsent(path: string): Promise<string> {
  return await access(path).then(
    () => `${path} is built for another system: its loader or interpreter does not exist here`,
    () => `${path} does not exist`,
  );
}

function codeOf(error: unknown): unknown {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? cause.code : undefined;
}
