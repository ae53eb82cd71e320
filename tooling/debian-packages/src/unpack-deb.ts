import { runCommand } from '@meshforge/processes';

const unpackTimeoutMs = 60_000;

/** Unpacks the files of a package into `root`, beside those of other packages. Its scripts do not run. */
export async function unpackDeb(deb: string, root: string): Promise<void> {
  await runCommand('dpkg-deb', ['-x', deb, root], { timeoutMs: unpackTimeoutMs });
}
