import { execFile } from 'node:child_process';

/** Bounds and surroundings of a command. */
export interface CommandOptions {
  /** After this many milliseconds the command is killed. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

const maxOutputBytes = 16 * 1024 * 1024;

/**
 * Runs a program without a shell and answers its standard output. Throws with one readable line: what was run, and the last
 * lines of its standard error, or that it took too long.
 */
export function runCommand(file: string, args: readonly string[], options: CommandOptions): Promise<string> {
  const { timeoutMs, cwd, env } = options;
  return new Promise((resolve, reject) => {
    execFile(
      file,
      args,
      { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: maxOutputBytes, encoding: 'utf8', cwd, env },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve(stdout);
          return;
        }
        const name = [file, args.find((arg) => !arg.startsWith('-'))].filter(Boolean).join(' ');
        reject(new Error(`${name}: ${reasonOf(error, stderr, timeoutMs)}`, { cause: error }));
      },
    );
  });
}

function reasonOf(error: Error & { killed?: boolean }, stderr: string, timeoutMs: number): string {
  if (error.killed === true) return `took longer than ${timeoutMs / 1000} s`;
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => line.startsWith('E: '));
  const telling = (errors.length > 0 ? errors : lines).slice(-3).join('; ');
  const reason = telling === '' ? (error.message.split('\n')[0] ?? 'failed') : telling;
  // The address of a private mirror may carry a password.
  return reason.replaceAll(/\/\/[^/@\s]+@/g, '//…@');
}
