// Hunts: a real breach that nobody sees among thousands that follow from it.
import { expect, test } from 'vitest';
import type { Breach } from '../src/history.ts';
import { reportText } from '../src/report/report-text.ts';
import { toReport, type Report } from '../src/report/report.ts';
import { Availability } from '../src/report/availability.ts';
import { Tally } from '../src/report/tally.ts';

function report(found: Pick<Report, 'breaches' | 'problems'>): string {
  const counts = {
    loadMs: 1_000,
    tally: new Tally(),
    turns: new Map(),
    happened: [],
    failedStarts: 0,
    knownLimits: {},
  };
  const names = { command: 'again', seed: 1, replicas: 3, agents: 3, skipped: [], witness: [] };
  return reportText(toReport({ ...names, ...counts, availability: new Availability([]), ...found }));
}

function led(version: number): Breach {
  return { invariant: 'reactions', what: `version ${version} of inventory "source 1" led to nothing`, history: [] };
}

test('breaches of one kind are one line, with their number and the first three', () => {
  const stuck = { invariant: 'what is stored is executed', what: '812 commands wait', history: [] };
  const text = report({ breaches: [led(1), led(2), stuck, led(3), led(4)], problems: [] });
  expect(text.split('\n').slice(-7)).toEqual([
    'BREACH of reactions: version … of inventory … led to nothing: 4 times, the first',
    '  version 1 of inventory "source 1" led to nothing',
    '  version 2 of inventory "source 1" led to nothing',
    '  version 3 of inventory "source 1" led to nothing',
    'BREACH of what is stored is executed: … commands wait',
    '  812 commands wait',
    '5 breaches; to repeat: again',
  ]);
});

test('what could not be judged is said', () => {
  const text = report({ breaches: [], problems: ['the log of lock was read to 5 of 7 only'] });
  expect(text).toContain('PROBLEM of the harness: the log of lock was read to 5 of 7 only');
});
