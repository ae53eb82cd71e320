#!/usr/bin/env node
import { Checker } from './checker/checker.ts';
import { parseCommandLine, type FaultsCommandLine, type SoakCommandLine } from './command-line.ts';
import { CannotRun, Interrupted } from './start-mesh.ts';
import { reportText } from './report/report-text.ts';
import { runFaults } from './run.ts';
import { runSoak } from './soak/run-soak.ts';
import { isSteady, soakText } from './soak/soak-report.ts';

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => void process.stderr.write(`${line}\n`);

async function faults(options: FaultsCommandLine, signal: AbortSignal): Promise<number> {
  const { keepHistory, json } = options;
  const report = await runFaults({
    ...options,
    historyFile: keepHistory,
    checker: new Checker(),
    signal,
    onLine: note,
  });
  out(json ? JSON.stringify(report) : reportText(report));
  if (report.breaches.length > 0) return 1;
  return report.problems.length > 0 ? 2 : 0;
}

async function soak(options: SoakCommandLine, signal: AbortSignal): Promise<number> {
  const report = await runSoak({ ...options, signal, onLine: note });
  out(options.json ? JSON.stringify({ ...report, isSteady: isSteady(report) }) : soakText(report));
  return isSteady(report) ? 0 : 1;
}

async function guarded(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const interruption = new AbortController();
  const stop = (): void => {
    // The second signal finds no listener any more and ends the process at once; nothing it started outlives it.
    process.off('SIGINT', stop).off('SIGTERM', stop);
    note('interrupted: taking the mesh down');
    interruption.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    return await work(interruption.signal);
  } catch (error) {
    if (error instanceof Interrupted || interruption.signal.aborted) return 130;
    note(error instanceof CannotRun ? error.message : `the harness failed: ${(error as Error).stack}`);
    return 2;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

async function start(): Promise<number> {
  const parsed = parseCommandLine(process.argv.slice(2));
  switch (parsed.kind) {
    case 'exit':
      return parsed.code;
    case 'faults':
      return await guarded((signal) => faults(parsed, signal));
    case 'soak':
      return await guarded((signal) => soak(parsed, signal));
  }
}

// Left alone it would end the process with the code of a breach.
process.on('unhandledRejection', (error) => {
  note(`the harness failed: ${error instanceof Error ? error.stack : String(error)}`);
  process.exit(2);
});
process.exitCode = await start();
