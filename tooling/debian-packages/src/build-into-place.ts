import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { inDirectoryBeside } from './in-directory-beside.ts';

/**
 * Lets `build` make a directory beside its place and then moves it there as a whole, so that readers see all of it or
 * nothing. `build` gets an empty directory of its own, removed afterwards, and answers which directory below it takes which
 * name in `parent`. When another process was faster, its directory stays and is the answer.
 */
export async function buildIntoPlace(
  parent: string,
  build: (directory: string) => Promise<{ readonly built: string; readonly name: string }>,
): Promise<string> {
  await mkdir(parent, { recursive: true });
  return await inDirectoryBeside(parent, async (directory) => {
    const { built, name } = await build(directory);
    const target = join(parent, name);
    await rename(built, target).catch((error: unknown) => {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    });
    return target;
  });
}
