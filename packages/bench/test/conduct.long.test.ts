// Hunts: contenders that are not measured in turn, or vanish when they cannot start, fail, or do their work wrong.
import { expect, test } from 'vitest';
import { parseCommandLine } from '../src/command-line.ts';
import { LOADS } from '../src/loads/index.ts';
import { pickOwn } from '../src/loads/pick-own.ts';
import { runBenchmark } from '../src/run-benchmark.ts';
import { runSlice } from '../src/run/run-slice.ts';

test('a slice keeps so many under way, counts what went through, and tells of what did not', async () => {
  let underWay = 0;
  let most = 0;
  const seen = new Set<number>();
  const work = {
    async run(worker: number) {
      seen.add(worker);
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 5));
      underWay--;
      if (worker === 3) throw new Error('refused');
    },
    close: () => Promise.resolve(),
  };
  const slice = await runSlice(work, 4, 60);
  expect(most).toBe(4);
  expect(seen.size).toBe(4);
  expect(slice.failures).toBeGreaterThan(0);
  expect(slice.failure).toBe('refused');
  expect(slice.latenciesUs.length).toBeGreaterThanOrEqual(3);
  expect(Math.min(...slice.latenciesUs)).toBeGreaterThan(4_000);
});

test('of a contended load only what is done in time counts, with whose turns they were and how many messages it took', async () => {
  let messages = 0;
  const work = {
    async run(worker: number) {
      messages += 4;
      await new Promise((resolve) => setTimeout(resolve, worker === 0 ? 10 : 1_500));
    },
    messages: () => Promise.resolve(messages),
    close: () => Promise.resolve(),
  };
  const slice = await runSlice(work, 3, 500, true);
  expect(slice.elapsedMs).toBe(500);
  const { operations, handovers, mostPerMean } = slice.turns ?? { operations: 0, handovers: 1, mostPerMean: 0 };
  expect({ handovers, mostPerMean }).toEqual({ handovers: 0, mostPerMean: 3 });
  expect(operations).toBeLessThanOrEqual(50);
  expect(slice.latenciesUs.length).toBeGreaterThanOrEqual(operations + 2);
  expect(slice.messages).toBe(4 * slice.latenciesUs.length);
});

test.each([
  [1_000, 1],
  [1_000, 256],
  [32, 32],
  [5, 3],
])('of %i things, %i workers pick each their own, and all are picked', (count, workers) => {
  const owner = new Map<number, number>();
  for (let round = 0; round < 20_000; round++) {
    const worker = round % workers;
    const picked = pickOwn(count, worker, workers);
    expect(picked).toBeGreaterThanOrEqual(0);
    expect(picked).toBeLessThan(count);
    expect(owner.get(picked) ?? worker).toBe(worker);
    owner.set(picked, worker);
  }
  expect(owner.size).toBe(count);
});

test('every contender has an id of its own in its load, and says what it does', () => {
  for (const { id, participants } of LOADS) {
    const ids = participants.map((each) => each.id);
    expect({ id, distinct: new Set(ids).size }).toEqual({ id, distinct: ids.length });
    for (const { about, name } of participants)
      expect({ id, name, said: about.length > 20 && name.length > 0 }).toEqual({ id, name, said: true });
  }
});

test('a run measures each contender in every round, checks the work, and stops all that it started', async () => {
  const lines: string[] = [];
  const result = await runBenchmark({
    full: false,
    only: ['updates/meshforge', 'contention/meshforge'],
    rounds: 2,
    sliceMs: 60,
    command: 'test',
    signal: new AbortController().signal,
    onProgress: (line) => lines.push(line),
  });
  expect(result.loads.map(({ id, participants }) => [id, participants.map((each) => each.id)])).toEqual([
    ['updates', ['meshforge', 'meshforge-fsync', 'meshforge-guarded', 'meshforge-in-process']],
    ['contention', ['meshforge']],
  ]);
  for (const { unit, participants } of result.loads) {
    for (const { name, measurements, wrong, missing, memoryMiB } of participants) {
      expect({ name, wrong, missing }).toEqual({ name, wrong: undefined, missing: undefined });
      expect(memoryMiB).toBeGreaterThan(10);
      for (const { concurrency, operations, failures, perSecondByRound } of measurements) {
        expect({ name, unit, concurrency, failures, rounds: perSecondByRound.length, worked: operations > 0 }).toEqual({
          name,
          unit,
          concurrency,
          failures: 0,
          rounds: 2,
          worked: true,
        });
      }
    }
  }
  expect(result.machine.fsyncMs).toBeGreaterThan(0);
  expect(lines).toContain('updates: round 2 of 2, 64 at a time');
}, 120_000);

test('an interrupted run ends, and says so', async () => {
  const interruption = new AbortController();
  const running = runBenchmark({
    full: false,
    only: ['contention/meshforge'],
    rounds: 1_000,
    sliceMs: 50,
    command: 'test',
    signal: interruption.signal,
    onProgress: (line) => {
      if (line.includes('round 2')) interruption.abort();
    },
  });
  await expect(running).rejects.toThrow(/abort/i);
}, 60_000);

test('what is part of no contender is refused, with those that there are', async () => {
  const running = runBenchmark({
    full: false,
    only: ['nothing/of-the-kind'],
    command: 'test',
    signal: new AbortController().signal,
    onProgress: () => {},
  });
  await expect(running).rejects.toThrow(/nothing to measure: --only nothing\/of-the-kind.*updates\/meshforge/);
});

test.each([['--rounds', '0'], ['--slice-ms', 'long'], ['--nonsense'], ['what']])('%s %s is wrong usage', (...args) => {
  expect(parseCommandLine(args.filter((each) => each !== undefined))).toEqual({ kind: 'exit', code: 2 });
});

test('the command line is read', () => {
  expect(parseCommandLine(['--only', 'a,b', '--full', '--rounds', '3'])).toMatchObject({
    kind: 'run',
    options: { only: ['a', 'b'], full: true, rounds: 3, out: 'bench/results', json: false },
  });
});
