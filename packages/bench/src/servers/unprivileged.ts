import { readFile, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { programEnvironment, type Program } from '@meshforge/debian-packages';
import { runCommand } from '@meshforge/processes';

export interface User {
  readonly uid: number;
  readonly gid: number;
}

const copyTimeoutMs = 60_000;
const searchableByAll = 0o001;

/** As whom to run a server that refuses to run as root; nothing when this process is not root. */
export async function unprivilegedUser(): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const found = ['postgres', 'nobody'].map((name) => users.find((user) => user[0] === name)).find(Boolean);
  if (found === undefined) throw new Error('this is root, and there is neither a user postgres nor nobody');
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

/**
 * The same program where everybody can run it. What root has unpacked into its cache lies in a home that nobody else may
 * enter; then a copy in `directory`.
 */
export async function withinReach(program: Program, directory: string): Promise<Program> {
  const { file, root } = program;
  if (root === undefined || (await isReachable(dirname(file)))) return program;
  const copy = join(directory, 'programs');
  await runCommand('cp', ['-a', '--reflink=auto', root, copy], { timeoutMs: copyTimeoutMs });
  return { file: join(copy, relative(root, file)), env: await programEnvironment(copy), root: copy };
}

async function isReachable(directory: string): Promise<boolean> {
  const { mode } = await stat(directory);
  if ((mode & searchableByAll) === 0) return false;
  const parent = dirname(directory);
  return parent === directory || (await isReachable(parent));
}
