import type { Ban } from './bans.ts';
import { codeOf } from './code-of.ts';
import { lineAt, type SourceFile, type Violation } from './rule.ts';

const maxFoundCharacters = 80;

/** Every place in these files where a banned text stands. */
export function checkBans(bans: readonly Ban[], files: readonly SourceFile[]): Violation[] {
  return files.flatMap((file) => {
    const applying = bans.filter((ban) => ban.in.test(file.path) && !(ban.except?.test(file.path) ?? false));
    return applying.flatMap((ban) => placesIn(file, ban));
  });
}

function placesIn({ path, text }: SourceFile, ban: Ban): Violation[] {
  const searched = ban.where === 'code' ? codeOf(text) : text;
  const everywhere = new RegExp(ban.text, `${ban.text.flags}g`);
  return [...searched.matchAll(everywhere)].map((match) => {
    const end = match.index + match[0].length;
    const isWholeFile = match[0].includes('\n');
    return {
      rule: ban.id,
      path,
      line: lineAt(searched, isWholeFile ? end - 1 : match.index),
      found: isWholeFile ? 'this line' : match[0].slice(0, maxFoundCharacters),
      instead: ban.instead,
    };
  });
}
