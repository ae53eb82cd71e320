import { fork, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawScript } from './draw-script.ts';
import { runHistory } from './run-history.ts';
import { showFailure } from './show.ts';
import { kindOf, shrink } from './shrink.ts';

/** Seeds that a worker is given at a time. */
const SHARE = 10;
const PROGRESS_MS = 15_000;
const LOADER = ['--conditions=@meshforge/source', '--import', import.meta.resolve('tsx')];

export interface Task {
  /** The first seed. */
  seed: number;
  /** How many seeds, one history each. */
  histories: number;
  seconds: number;
  workers: number;
  /** Whether the shortest failing history is looked for. */
  shrinks: boolean;
  onProgress: (text: string) => void;
}

export interface Found {
  /** The first seed that failed; undefined if none did. */
  seed: number | undefined;
  /** What was wrong first. */
  breach: string;
  /** Histories that were run. */
  histories: number;
}

/** What a worker says of its share. */
export interface Report {
  ran: number;
  failed: { seed: number; breach: string } | undefined;
}

/** Runs histories until one fails, or enough have been run. */
export async function simulate(task: Task): Promise<Found> {
  const { histories, onProgress, seed, seconds } = task;
  const began = Date.now();
  let next = seed;
  let ran = 0;
  let failed: Report['failed'];
  const isOver = (): boolean =>
    failed !== undefined || next >= seed + histories || Date.now() - began >= seconds * 1_000;
  const progress = setInterval(() => {
    onProgress(`${ran} histories in ${Math.round((Date.now() - began) / 1_000)} s`);
  }, PROGRESS_MS);
  const work = async (): Promise<void> => {
    const worker = new Worker();
    while (!isOver()) {
      const first = next;
      const count = Math.min(SHARE, seed + histories - next);
      next += count;
      const report = await worker.run(first, count);
      ran += report.ran;
      // The lowest of those that fail, whoever is quicker.
      if (report.failed !== undefined && (failed === undefined || report.failed.seed < failed.seed))
        failed = report.failed;
    }
    worker.end();
  };
  try {
    await Promise.all(Array.from({ length: task.workers }, work));
  } finally {
    clearInterval(progress);
  }
  onProgress(`${ran} histories from seed ${seed} in ${Math.round((Date.now() - began) / 1_000)} s`);
  if (failed === undefined) return { seed: undefined, breach: '', histories: ran };
  onProgress(await explain(failed.seed, task.shrinks));
  return { ...failed, histories: ran };
}

async function explain(seed: number, shrinks: boolean): Promise<string> {
  const first = await runHistory(drawScript(seed));
  const [breach] = first.breaches;
  if (breach === undefined)
    return `seed ${seed} failed in a worker and does not fail again: the simulation is not repeatable`;
  if (!shrinks) return showFailure(first, first);
  const kind = kindOf(breach);
  const shortest = await shrink(first, ({ breaches }) => breaches.some((each) => kindOf(each) === kind));
  const file = join(tmpdir(), `meshforge-simulation-${seed}.json`);
  writeFileSync(file, `${JSON.stringify(shortest.script, undefined, 1)}\n`);
  return `${showFailure(first, shortest)}\nto see it again: pnpm simulate --script ${file}`;
}

class Worker {
  readonly #process: ChildProcess = fork(new URL('worker.ts', import.meta.url), { execArgv: LOADER });

  run(first: number, count: number): Promise<Report> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`a worker ended with ${code} near seed ${first}`));
      this.#process.once('exit', onExit);
      this.#process.once('message', (report) => {
        this.#process.off('exit', onExit);
        resolve(report as Report);
      });
      this.#process.send({ first, count });
    });
  }

  end(): void {
    this.#process.disconnect();
  }
}
