import { posix } from 'node:path';
import type { Direction } from './directions.ts';
import { importsOf, type Import } from './imports.ts';
import { lineAt, type SourceFile, type Violation } from './rule.ts';

/** Every import, and every dependency in a manifest, that goes where it must not. */
export function checkDirections(directions: readonly Direction[], files: readonly SourceFile[]): Violation[] {
  return directions.flatMap((direction) =>
    files.flatMap((file) =>
      posix.basename(file.path) === 'package.json' ? wrongDependencies(direction, file) : wrongImports(direction, file),
    ),
  );
}

function wrongImports(direction: Direction, { path, text }: SourceFile): Violation[] {
  const home = direction.folder.exec(path)?.[0];
  if (home === undefined || direction.except?.test(path) === true || !/\.(?:ts|mts|mjs|js)$/.test(path)) return [];
  return importsOf(text)
    .filter((imported) => !isAllowed(direction, imported, path, home))
    .map(({ module, line }) => violation(direction, path, line, `import of ${module}`));
}

function isAllowed(direction: Direction, { module, typeOnly }: Import, path: string, home: string): boolean {
  if (module.startsWith('.')) {
    const target = posix.join(posix.dirname(path), module);
    return target.startsWith(home) || direction.shared?.test(target) === true;
  }
  if (typeOnly && direction.types?.includes(packageOf(module)) === true) return true;
  return isPackageAllowed(direction, module);
}

function wrongDependencies(direction: Direction, { path, text }: SourceFile): Violation[] {
  // A direction of a whole package names the package's folder, whatever it says about src.
  const home = direction.folder.exec(`${posix.dirname(path)}/src/`)?.[0];
  if (home !== `${posix.dirname(path)}/`) return [];
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(text) as Record<string, Record<string, string>>;
  return Object.keys({ ...dependencies, ...optionalDependencies })
    .filter((name) => direction.declared?.includes(name) !== true && !isPackageAllowed(direction, name))
    .map((name) => violation(direction, path, lineAt(text, text.indexOf(`"${name}"`)), `dependency on ${name}`));
}

function isPackageAllowed({ ours, others }: Direction, module: string): boolean {
  if (/^@meshforge\/[^/]+\/(?:src|dist)\b/.test(module)) return false;
  const name = packageOf(module);
  if (name.startsWith('@meshforge/')) return ours.includes(name);
  return others === 'any' || others.includes(name);
}

/** `@scope/name` of `@scope/name/part`; `node:fs` stays what it is. */
function packageOf(module: string): string {
  return module
    .split('/')
    .slice(0, module.startsWith('@') ? 2 : 1)
    .join('/');
}

function violation({ id, instead }: Direction, path: string, line: number, found: string): Violation {
  return { rule: id, path, line, found, instead };
}
