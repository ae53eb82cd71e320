import { delimiter, isAbsolute, join } from 'node:path';
import type { OnProgress } from '@meshforge/processes';
import { firstExisting } from './private-apt.ts';
import { programDirectories, programEnvironment } from './program-environment.ts';
import { unpackDebianPackages } from './unpack-debian-packages.ts';

export interface ProgramWanted {
  readonly program: string;
  /** What holds it where the machine does not have it. */
  readonly packages: readonly string[];
  /** Looked through after PATH. Default: where packages and Homebrew put programs. */
  readonly systemDirectories?: readonly string[];
  /** Told about anything that takes longer than two seconds. */
  readonly onProgress?: OnProgress;
  /** Read for PATH, XDG_CACHE_HOME and HOME, and what the program's environment is made of. Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface Program {
  readonly file: string;
  /** To run it in. */
  readonly env: NodeJS.ProcessEnv;
  /** The directory its packages were unpacked into; absent when the machine has it. */
  readonly root?: string;
}

const homebrew = ['/opt/homebrew/bin', '/home/linuxbrew/.linuxbrew/bin'];

/** Finds a program on the machine, or else in Debian's packages. Throws a one-line reason. */
export async function findProgram(wanted: ProgramWanted): Promise<Program> {
  const { program, packages, systemDirectories = [...(await programDirectories('/')), ...homebrew] } = wanted;
  const { env = process.env, ...rest } = wanted;
  const directories = [
    ...(env['PATH'] ?? '').split(delimiter).filter((path) => isAbsolute(path)),
    ...systemDirectories,
  ];
  const installed = await firstExisting(directories.map((directory) => join(directory, program)));
  if (installed !== undefined) return { file: installed, env };
  let root: string;
  try {
    root = await unpackDebianPackages({ ...rest, packages, env });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`no ${program} on this machine, nor from Debian's packages: ${reason}`, { cause: error });
  }
  const file = await firstExisting((await programDirectories(root)).map((directory) => join(directory, program)));
  if (file === undefined) throw new Error(`${packages.join(', ')} of Debian's packages hold no ${program}`);
  return { file, env: await programEnvironment(root, env), root };
}
