/**
 * A TypeScript file with its comments blanked; every other character stays in its place. Reads formatted code, line by line:
 * a block comment begins a line, and a comment behind code has a space on both sides.
 */
export function codeOf(text: string): string {
  let inBlock = false;
  return text
    .split('\n')
    .map((line) => {
      const start = line.trimStart();
      if (!inBlock && start.startsWith('//')) return '';
      if (inBlock || start.startsWith('/*')) {
        inBlock = !line.includes('*/');
        return '';
      }
      const behind = line.indexOf(' // ');
      return behind >= 0 && quotesClose(line.slice(0, behind)) ? line.slice(0, behind) : line;
    })
    .join('\n');
}

function quotesClose(text: string): boolean {
  return ["'", '"', '`'].every((quote) => text.split(quote).length % 2 === 1);
}
