// Hunts: figures that are not those of the slices, a contender that is left out without a word, a goal that is judged wrongly.
import { expect, test } from 'vitest';
import { judgeGoals } from '../src/goals.ts';
import { svgChart } from '../src/report/chart.ts';
import { textReport } from '../src/report/table.ts';
import type { LoadResult, Measurement, ParticipantResult, RunResult } from '../src/run/result.ts';
import { summarize } from '../src/run/summarize.ts';

const slice = (latenciesUs: number[], elapsedMs = 500) => ({ latenciesUs, elapsedMs, failures: 0 });

test('rounds are added up: throughput over all of their time, latencies over all of their operations', () => {
  const measurement = summarize(64, [
    { slice: slice([1_000, 3_000]), cpuMs: 1 },
    { slice: { ...slice([2_000, 4_000]), failures: 2, failure: 'refused' }, cpuMs: 3 },
  ]);
  expect(measurement).toEqual({
    concurrency: 64,
    operations: 4,
    perSecond: 4,
    perSecondByRound: [4, 4],
    p50Ms: 2,
    p99Ms: 4,
    cpuUs: 1_000,
    failures: 2,
    failure: 'refused',
  });
});

test('of 1,000 operations the 99th percentile is the 990th', () => {
  const latencies = Array.from({ length: 1_000 }, (_, index) => (index + 1) * 1_000).toReversed();
  expect(summarize(1, [{ slice: slice(latencies), cpuMs: undefined }])).toMatchObject({ p50Ms: 500, p99Ms: 990 });
});

test('rounds in which nothing went through are no division by zero', () => {
  const measurement = summarize(1, [{ slice: slice([]), cpuMs: 5 }]);
  expect(measurement).toMatchObject({ operations: 0, perSecond: 0, p50Ms: 0, p99Ms: 0 });
  expect(measurement.cpuUs).toBeUndefined();
});

test('of a contended load throughput is what was done in time, and latency is of all that was done', () => {
  const turns = { operations: 2, handovers: 1, mostPerMean: 2 };
  const measurement = summarize(8, [
    { slice: { ...slice([1_000, 2_000, 90_000]), turns, messages: 12 }, cpuMs: undefined },
    {
      slice: { ...slice([1_000, 2_000, 90_000]), turns: { ...turns, mostPerMean: 3 }, messages: 18 },
      cpuMs: undefined,
    },
  ]);
  expect(measurement).toMatchObject({ perSecond: 4, perSecondByRound: [4, 4], operations: 6, p99Ms: 90 });
  expect(measurement).toMatchObject({ handoversPerSecond: 2, mostPerMean: 2.5, messages: 5 });
});

test('of a load that only stores, what was executed meanwhile counts over the time until that was told', () => {
  const measurement = summarize(64, [
    { slice: { ...slice([1_000, 2_000]), executed: { jobs: 1, elapsedMs: 600 } }, cpuMs: undefined },
    { slice: { ...slice([1_000, 2_000]), executed: { jobs: 2, elapsedMs: 900 } }, cpuMs: undefined },
  ]);
  expect(measurement).toMatchObject({ perSecond: 4, executedPerSecond: 2 });
});

function participant(id: string, perSecond: number, more: Partial<ParticipantResult> = {}): ParticipantResult {
  const measurement: Measurement = {
    concurrency: 64,
    operations: 100,
    perSecond,
    perSecondByRound: [perSecond],
    p50Ms: 1,
    p99Ms: 2,
    failures: 0,
  };
  return {
    id,
    name: id.toUpperCase(),
    about: 'x',
    durability: 'written',
    versions: {},
    measurements: [measurement],
    ...more,
  };
}

const updates = (participants: ParticipantResult[]): LoadResult => ({
  id: 'updates',
  title: 'Updates <of things>',
  unit: 'updates',
  participants,
});

test('a goal is the ratio of two contenders in the same load; without one of them it is not judged', () => {
  const goals = judgeGoals([updates([participant('meshforge', 6_000), participant('echo', 10_000)])]);
  expect(goals.find(({ text }) => text.includes('echo'))?.ratio).toBeCloseTo(0.6);
  expect(goals.find(({ text }) => text.includes('Restate'))).not.toHaveProperty('ratio');
  expect(goals.some(({ text }) => text.includes('Redlock'))).toBe(false);
});

function result(participants: ParticipantResult[]): RunResult {
  const loads = [updates(participants)];
  return {
    startedAt: '2026-11-23T00:00:00.000Z',
    command: 'pnpm bench',
    machine: {
      processor: 'one',
      cores: 2,
      memoryGiB: 4,
      system: 'Linux',
      node: '20',
      meshforge: '0.14.0',
      fsyncMs: 0.5,
    },
    settings: { rounds: 1, sliceMs: 1 },
    loads,
    goals: judgeGoals(loads),
  };
}

test('the report names each contender: with its ratio, or with the reason why it took no part, or with what was wrong', () => {
  const text = textReport(
    result([
      participant('meshforge', 6_000),
      participant('echo', 12_000),
      participant('etcd', 0, { missing: 'no such package', measurements: [] }),
      participant('redis', 9_000, { wrong: 'it lost 3 increments' }),
    ]),
  );
  expect(text).toMatch(/ECHO +written +12,000 +2\.00/);
  expect(text).toContain('ETCD TOOK NO PART: no such package');
  expect(text).toContain('REDIS WAS WRONG: it lost 3 increments');
  expect(text).toMatch(/echo.*0\.50 +≥ 0\.5 +met/);
});

test('columns that only a contended load has are there for it alone', () => {
  const [measurement] = participant('redlock', 9_000).measurements as [Measurement];
  const contended = { ...measurement, handoversPerSecond: 20, mostPerMean: 63.9, messages: 4.25 };
  expect(textReport(result([participant('redlock', 9_000, { measurements: [contended] })]))).toMatch(
    /handovers\/s +most\/mean +messages\n.*REDLOCK.* 20 +63\.9 +4\.3/,
  );
  expect(textReport(result([participant('redlock', 9_000)]))).not.toContain('handovers');
});

test('the chart draws each contender that was measured, and escapes what it writes', () => {
  const svg = svgChart(result([participant('meshforge', 6_000), participant('a<b', 3_000)]));
  expect(svg).toContain('Updates &lt;of things>, 64 at a time');
  expect(svg).toContain('A&lt;B');
  const bars = [...svg.matchAll(/<rect x="260" y="\d+" width="([\d.]+)"/g)].map((match) => Number(match[1]));
  expect(bars).toHaveLength(2);
  expect((bars[0] as number) / (bars[1] as number)).toBeCloseTo(2);
});
