/**
 * Hunts what a real server rarely shows of durable commands: three replicas in a time of their own, every message late by chance,
 * answers that are lost, replicas that die, freeze or lose their connection at any moment, a server that is away or stores late.
 * A failing history is printed with its seed, as short as it gets.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { QueueRun } from './support/broker/queue-run.ts';
import { faults, sends, type Step } from './support/broker/queue-steps.ts';

const history = [fc.integer(), fc.boolean(), fc.constantFrom(400, 1_500, 5_000)] as const;

async function expectFlawless(steps: fc.Arbitrary<Step[]>, numRuns: number, mostMs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(...history, steps, async (seed, isReplicated, timeoutMs, drawn) => {
      expect(await new QueueRun(seed, isReplicated, timeoutMs).play(drawn)).toEqual([]);
    }),
    { numRuns, interruptAfterTimeLimit: mostMs },
  );
}

test('without faults: each executed once and in order, refusals told, poison dead, cancelled ones not executed', async () => {
  await expectFlawless(sends, 200, 5_000);
}, 60_000);

test('whatever dies, freezes, is lost or late: each executed once and in order, and what was told stays true', async () => {
  await expectFlawless(faults, 2_000, 8_000);
}, 60_000);

test('a refusal that is stored late never stands behind a commit that was told', async () => {
  for (let seed = 0; seed < 5; seed++) {
    const flaws = await new QueueRun(seed, true, 400).play([
      // While the stream stores nothing, the refusal is given up, and what it was made for changes.
      {
        kind: 'trap',
        what: 'read',
        blow: { kind: 'stall', stream: 'commands', spanMs: 2_500, afterMs: 0 },
        afterMs: 0,
      },
      { kind: 'add', entity: 'a', by: -1, version: undefined, afterMs: 700 },
      { kind: 'directly', entity: 'a', by: 2, afterMs: 200 },
      { kind: 'lose', what: 'ack', times: 5, loss: 'before', afterMs: 0 },
      { kind: 'crash', replica: null, downMs: 500, isNoticed: true, afterMs: 1_200 },
    ]);
    expect(flaws, `seed ${seed}`).toEqual([]);
  }
}, 60_000);

test('a replica whose turn is over writes no refusal behind what the next one decides', async () => {
  for (const seed of [11, 13, 16]) {
    const flaws = await new QueueRun(seed, false, 10_000).play([
      // What it sends comes after the next one has committed the command, and told so.
      { kind: 'trap', what: 'read', blow: { kind: 'slow', replica: null, spanMs: 6_000, afterMs: 0 }, afterMs: 0 },
      { kind: 'add', entity: 'a', by: -1, version: undefined, afterMs: 300 },
      { kind: 'directly', entity: 'a', by: 2, afterMs: 200 },
      { kind: 'lose', what: 'ack', times: 5, loss: 'before', afterMs: 0 },
      { kind: 'crash', replica: null, downMs: 500, isNoticed: true, afterMs: 3_600 },
    ]);
    expect(flaws, `seed ${seed}`).toEqual([]);
  }
}, 60_000);

test('a command is not refused while a commit of it is on its way', async () => {
  for (let seed = 0; seed < 5; seed++) {
    const flaws = await new QueueRun(seed, true, 400).play([
      // The log stores nothing while the replica that has sent the commit dies; a moment later the rule would refuse.
      { kind: 'trap', what: 'read', blow: { kind: 'stall', stream: 'log', spanMs: 6_000, afterMs: 0 }, afterMs: 0 },
      { kind: 'hurry', entity: 'a', afterMs: 300 },
      { kind: 'crash', replica: null, downMs: 1, isNoticed: false, afterMs: 50 },
    ]);
    expect(flaws, `seed ${seed}`).toEqual([]);
  }
}, 60_000);
