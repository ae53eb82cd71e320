import type { Logger } from '../../src/options.ts';

/** Keeps what an agent logs. */
export class RememberingLogger implements Logger {
  readonly lines: { level: 'debug' | 'info' | 'warn' | 'error'; fields: object; text: string }[] = [];

  debug(fields: object, text: string): void {
    this.lines.push({ level: 'debug', fields, text });
  }

  info(fields: object, text: string): void {
    this.lines.push({ level: 'info', fields, text });
  }

  warn(fields: object, text: string): void {
    this.lines.push({ level: 'warn', fields, text });
  }

  error(fields: object, text: string): void {
    this.lines.push({ level: 'error', fields, text });
  }

  /** Texts that say something, at these levels. */
  texts(part: string, ...levels: string[]): string[] {
    return this.lines
      .filter(({ level, text }) => text.includes(part) && (levels.length === 0 || levels.includes(level)))
      .map(({ text }) => text);
  }
}
