import { printable } from '@meshforge/protocol';

const warn = 40;
const error = 50;
const maxCharacters = 400;

/** What a person should see of a line that an agent logged: warnings, errors, and what is no log line at all. */
export function trouble(agent: string, line: string): string | undefined {
  const entry = parse(line);
  if (entry === undefined) return line.trim() === '' ? undefined : `! ${agent}: ${printable(line, maxCharacters)}`;
  if (entry.level < warn) return undefined;
  return `! ${agent} ${entry.level < error ? 'warns' : 'fails'}: ${printable(entry.text, maxCharacters)}`;
}

/** A line of the tail of a log, short enough to read. */
export function readable(line: string): string {
  const entry = parse(line);
  return printable(entry === undefined ? line : entry.text, maxCharacters);
}

function parse(line: string): { level: number; text: string } | undefined {
  try {
    const { level, msg, err } = JSON.parse(line) as { level?: unknown; msg?: unknown; err?: { message?: unknown } };
    if (typeof level !== 'number') return undefined;
    const [said = '', reason = ''] = [msg, err?.message].map((part) => (typeof part === 'string' ? part : undefined));
    // An error's message often begins with what was said.
    return { level, text: reason.startsWith(said) ? reason || said : [said, reason].filter(Boolean).join(': ') };
  } catch {
    return undefined;
  }
}
