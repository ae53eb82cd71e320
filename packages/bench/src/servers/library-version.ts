import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const { resolve: resolvePackage } = createRequire(import.meta.url);

/** Of a client library; found beside its code, since not every package lets its package.json be imported. */
export function libraryVersion(name: string): string {
  let directory = dirname(resolvePackage(name));
  for (;;) {
    const file = join(directory, 'package.json');
    const found = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>) : {};
    // Others on the way only say what kind of modules lie below them.
    if (found['name'] === name) return (found['version'] ?? 'unknown').replace(/^v/, '');
    if (directory === dirname(directory)) throw new Error(`${name} has no package.json`);
    directory = dirname(directory);
  }
}
