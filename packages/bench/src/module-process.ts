import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { ProcessPlan } from '@meshforge/processes';

/**
 * How to run a module of this package as a process of its own: built or, as tests do, from its source. Name it as the
 * source names it, `new URL('./services/a-service.ts', import.meta.url)`; beside a built module only its `.js` exists, and
 * that is what runs, without a loader in the way.
 */
export function moduleProcess(url: URL, args: readonly string[] = []): Required<Pick<ProcessPlan, 'file' | 'args'>> {
  const { file, loader } = found(url);
  const before = loader === undefined ? [] : ['--conditions=@meshforge/source', '--import', loader];
  return { file: process.execPath, args: [...before, file, ...args] };
}

/** What makes a Node.js process of another program run a module of this package first; the module is named likewise. */
export function preloadArgs(url: URL): string[] {
  const { file, loader } = found(url);
  return [...(loader === undefined ? [] : [loader]), pathToFileURL(file).href].flatMap((each) => ['--import', each]);
}

function found(url: URL): { file: string; loader?: string } {
  const source = fileURLToPath(url);
  if (!source.endsWith('.ts') || !existsSync(source)) return { file: source.replace(/\.ts$/, '.js') };
  // Resolved only here, so that what is built runs without tsx.
  return { file: source, loader: pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href };
}
