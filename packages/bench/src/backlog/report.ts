import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandLine } from '../command-line.ts';
import { describeMachine } from '../run/machine.ts';
import { measureBacklog, type BacklogOptions, type Phase } from './measure.ts';

const idleMs = 20_000;
const defaultRounds = 2;

/** Measures, writes `backlog.json`, and answers what to print. */
export async function reportBacklog(
  commands: number,
  { rounds = defaultRounds, out, json }: CommandLine,
  shared: Pick<BacklogOptions, 'signal' | 'onProgress'>,
): Promise<string> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const phases = await measureBacklog({ commands, rounds, idleMs, ...shared });
  const result = { startedAt, machine, commands, rounds, phases };
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'backlog.json'), `${JSON.stringify(result, undefined, 2)}\n`);
  return json ? JSON.stringify(result) : phases.map(lineOf).join('\n');
}

function lineOf({ name, maxRssMiB, maxHeapMiB, workedOffS, asked }: Phase): string {
  return [
    name,
    `${maxRssMiB.toFixed(0)} MiB resident at most`,
    `${maxHeapMiB.toFixed(0)} MiB of heap at most`,
    ...(workedOffS === undefined ? [] : [`worked off in ${workedOffS.toFixed(1)} s`]),
    ...(asked === undefined
      ? []
      : [
          `${Math.round(asked.perSecond)} requests/s, p50 ${asked.p50Ms.toFixed(1)} ms, p99 ${asked.p99Ms.toFixed(1)} ms`,
          `${asked.failures} failed`,
        ]),
  ].join('; ');
}
