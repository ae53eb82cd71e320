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
  const source = fileURLToPath(url);
  const file = process.execPath;
  if (source.endsWith('.ts') && existsSync(source)) {
    // Resolved only here, so that what is built runs without tsx.
    const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
    return { file, args: ['--conditions=@meshforge/source', '--import', loader, source, ...args] };
  }
  return { file, args: [source.replace(/\.ts$/, '.js'), ...args] };
}
