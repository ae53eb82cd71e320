import { codeOf } from './code-of.ts';
import { lineAt } from './rule.ts';

/** One import or re-export of a module. */
export interface Import {
  /** As it is written. */
  readonly module: string;
  readonly typeOnly: boolean;
  readonly line: number;
}

const pattern = /\b(?:(import|export)\b(\s+type\b)?[^'"`;()]*?\bfrom\s*|import\s*\(?\s*)(['"])([^'"\n]+)\3/g;

/** Every module that a file names: static, dynamic, for its effects only, or exported again. */
export function importsOf(text: string): Import[] {
  const code = codeOf(text);
  return [...code.matchAll(pattern)].map((match) => ({
    module: match[4] ?? '',
    typeOnly: match[2] !== undefined,
    line: lineAt(code, match.index + match[0].length),
  }));
}
