// Hunts: a schedule that does not repeat from its seed, and one that takes away more than a cluster can lose.
import { expect, test } from 'vitest';
import { FAULTS } from '../src/faults/all.ts';
import { LANES } from '../src/faults/fault.ts';
import { drawSchedule, type Planned, type ScheduleOptions } from '../src/schedule/draw-schedule.ts';

const options: ScheduleOptions = { seed: 42, shape: { replicas: 3, agents: 3 }, durationMs: 600_000 };

function plain(schedule: readonly Planned[]): unknown {
  return schedule.map(({ fault, ...rest }) => ({ name: fault.name, ...rest }));
}

test('the same seed draws the same faults at the same times, and another one draws others', () => {
  expect(plain(drawSchedule(options))).toEqual(plain(drawSchedule(options)));
  expect(plain(drawSchedule(options))).not.toEqual(plain(drawSchedule({ ...options, seed: 43 })));
});

test('a longer run begins like a shorter one', () => {
  const short = drawSchedule({ ...options, durationMs: 60_000 });
  for (const lane of LANES) {
    const own = (schedule: readonly Planned[]): Planned[] => schedule.filter(({ fault }) => fault.lane === lane);
    const longer = own(drawSchedule(options)).slice(0, own(short).length);
    expect(plain(longer)).toEqual(plain(own(short)));
  }
});

test('every fault has its turn', () => {
  const names = drawSchedule(options).map(({ fault }) => fault.name);
  expect(new Set(names)).toEqual(new Set(FAULTS.map(({ name }) => name)));
});

test('a single server is not cut off from itself', () => {
  const names = drawSchedule({ ...options, shape: { replicas: 1, agents: 3 } }).map(({ fault }) => fault.name);
  expect(names).toContain('kill-server');
  expect(names).not.toContain('partition-server');
});

test.each(Array.from({ length: 50 }, (_, seed) => seed))('faults of one lane never overlap, seed %i', (seed) => {
  const schedule = drawSchedule({ ...options, seed });
  for (const lane of LANES) {
    let freeAtMs = 0;
    for (const { fault, atMs, durationMs } of schedule) {
      if (fault.lane !== lane) continue;
      expect(atMs).toBeGreaterThan(freeAtMs);
      freeAtMs = atMs + durationMs;
    }
    expect(freeAtMs).toBeLessThan(options.durationMs);
  }
});

test('only the faults that are asked for are drawn', () => {
  const schedule = drawSchedule({ ...options, only: ['kill-agent', 'drop-acks'] });
  expect(new Set(schedule.map(({ fault }) => fault.name))).toEqual(new Set(['kill-agent', 'drop-acks']));
});
