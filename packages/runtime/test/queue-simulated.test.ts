/**
 * Hunts what a real server rarely shows of durable commands: three replicas in a time of their own, every message late by chance,
 * answers that are lost, replicas that die, freeze or lose their connection at any moment, a server that is away or stores late.
 * A failing history is printed with its seed, as short as it gets.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { QueueRun } from './support/broker/queue-run.ts';
import { faults, sends } from './support/broker/queue-steps.ts';

const history = [fc.integer(), fc.boolean(), fc.constantFrom(400, 1_500, 5_000)] as const;

test('without faults: each executed once and in order, refusals told, poison dead, cancelled ones not executed', async () => {
  await fc.assert(
    fc.asyncProperty(...history, sends, async (seed, isReplicated, timeoutMs, steps) => {
      expect(await new QueueRun(seed, isReplicated, timeoutMs).play(steps)).toEqual([]);
    }),
    { numRuns: 200, interruptAfterTimeLimit: 5_000 },
  );
}, 60_000);

test('whatever dies, freezes, is lost or late: each executed once and in order, and what was told stays true', async () => {
  await fc.assert(
    fc.asyncProperty(...history, faults, async (seed, isReplicated, timeoutMs, steps) => {
      expect(await new QueueRun(seed, isReplicated, timeoutMs).play(steps)).toEqual([]);
    }),
    { numRuns: 2_000, interruptAfterTimeLimit: 8_000 },
  );
}, 60_000);
