#!/usr/bin/env node
/** What a long queue of durable commands does to the agent that works it off: `backlog [commands] [rounds]`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeMachine } from '../run/machine.ts';
import { measureBacklog, type Phase } from './measure.ts';

const results = 'bench/results';

const commands = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 2);
const startedAt = new Date().toISOString();
const machine = describeMachine();
const onProgress = (line: string): void => void process.stderr.write(`${line}\n`);
const phases = await measureBacklog({ commands, rounds, idleMs: 20_000, onProgress });
for (const phase of phases) process.stdout.write(`${lineOf(phase)}\n`);
await mkdir(results, { recursive: true });
const text = JSON.stringify({ startedAt, machine, commands, rounds, phases }, undefined, 2);
await writeFile(join(results, 'backlog.json'), `${text}\n`);

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
