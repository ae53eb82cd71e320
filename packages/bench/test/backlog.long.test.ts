// Hunts: a backlog that is measured and not worked off, or whose commands count twice.
import { expect, test } from 'vitest';
import { measureBacklog } from '../src/backlog/measure.ts';
import { firstStartMs } from './support/test-host.ts';

test(
  'an agent works off what is stored while it is away, with and without being asked, and tells its memory',
  async () => {
    const { signal } = new AbortController();
    const onProgress = (): void => {};
    const phases = await measureBacklog({ commands: 500, rounds: 1, idleMs: 500, signal, onProgress });
    const [idle, asked, alone] = phases;
    expect(phases).toHaveLength(3);
    for (const { maxRssMiB, maxHeapMiB } of phases) expect(maxRssMiB).toBeGreaterThan(maxHeapMiB);
    expect(Math.min(...phases.map(({ maxHeapMiB }) => maxHeapMiB))).toBeGreaterThan(1);
    expect(idle?.workedOffS).toBeUndefined();
    expect(asked?.workedOffS).toBeGreaterThan(0);
    expect(alone?.workedOffS).toBeGreaterThan(0);
    expect(alone?.asked).toBeUndefined();
    for (const phase of [idle, asked]) expect(phase?.asked).toMatchObject({ failures: 0 });
  },
  firstStartMs,
);
