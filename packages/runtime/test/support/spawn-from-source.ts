import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createRequire } from 'node:module';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';

const LOADER = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const EXIT_WITH_PARENT = new URL('./exit-with-parent.ts', import.meta.url).href;

/**
 * A program of this repository in a process of its own, run from its sources. It ends with the test that started it.
 * @param env added to the test's own, without what belongs to NATS, telemetry and the test runner
 * @param imports modules that it loads first
 */
export function spawnFromSource(
  main: URL,
  env: Readonly<Record<string, string>>,
  imports: readonly string[] = [],
): ChildProcessByStdio<Writable, Readable, Readable> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(NATS_|OTEL_|NODE_OPTIONS$|VITEST)/.test(name));
  const args = ['--conditions=@meshforge/source', '--import', LOADER, '--import', EXIT_WITH_PARENT];
  for (const url of imports) args.push('--import', url);
  return spawn(process.execPath, [...args, fileURLToPath(main)], {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}
