#!/usr/bin/env node
import { CannotRun, Interrupted } from './cannot-run.ts';
import { parseCommandLine, type CommandLine } from './command-line.ts';
import { describeError } from './describe-error.ts';
import { resultLine, summaryLine } from './report-text.ts';
import { runSmoke } from './run-smoke.ts';

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => void process.stderr.write(`${line}\n`);

async function main({ inboxPrefix, json, verbose, timeout, only }: CommandLine): Promise<number> {
  const interruption = new AbortController();
  const stop = (): void => {
    // The second signal finds no listener any more and ends the process at once.
    process.off('SIGINT', stop).off('SIGTERM', stop);
    note('interrupted: removing what this run made');
    interruption.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    const report = await runSmoke({
      inboxPrefix,
      readyTimeoutMs: timeout * 1000,
      only,
      signal: interruption.signal,
      // Traffic goes to stderr beside JSON, which must stay alone on stdout.
      onLine: verbose ? (line) => (json ? note : out)(`  ${line}`) : undefined,
      onResult: json ? undefined : (result) => out(resultLine(result)),
      onLeftover: (text) => note(`left behind: ${text}`),
    });
    out(json ? JSON.stringify(report) : summaryLine(report));
    return report.failed === 0 ? 0 : 1;
  } catch (error) {
    if (error instanceof Interrupted) return 130;
    note(error instanceof CannotRun ? error.message : `cannot run the checks: ${describeError(error)}`);
    return 2;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

const parsed = parseCommandLine(process.argv.slice(2));
process.exitCode = parsed.kind === 'exit' ? parsed.code : await main(parsed.options);
