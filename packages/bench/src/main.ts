#!/usr/bin/env node
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reportBacklog } from './backlog/report.ts';
import { parseCommandLine, type CommandLine } from './command-line.ts';
import { svgChart } from './report/chart.ts';
import { textReport } from './report/table.ts';
import { runBenchmark } from './run-benchmark.ts';

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(options: CommandLine): Promise<number> {
  const interruption = new AbortController();
  const stop = (): void => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    note('interrupted: stopping what was started');
    interruption.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    const { signal } = interruption;
    if (options.backlog !== undefined) {
      out(await reportBacklog(options.backlog, options, { signal, onProgress: note }));
      return 0;
    }
    const command = ['pnpm', 'bench', ...process.argv.slice(2)].join(' ');
    const result = await runBenchmark({ ...options, command, signal, onProgress: note });
    await mkdir(options.out, { recursive: true });
    const name = options.full ? 'full' : 'short';
    await writeFile(join(options.out, `${name}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
    await writeFile(join(options.out, `${name}.svg`), svgChart(result));
    out(options.json ? JSON.stringify(result) : textReport(result));
    note(`wrote ${join(options.out, `${name}.json`)} and ${name}.svg`);
    return result.loads.some(({ participants }) => participants.some(({ wrong }) => wrong !== undefined)) ? 1 : 0;
  } catch (error) {
    if (interruption.signal.aborted) return 130;
    note(`cannot run the benchmark: ${error instanceof Error ? error.message : String(error)}`);
    return 2;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

const parsed = parseCommandLine(process.argv.slice(2));
process.exitCode = parsed.kind === 'exit' ? parsed.code : await main(parsed.options);
