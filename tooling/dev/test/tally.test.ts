// Hunts for a failure that the closing line does not count.
import { describe, expect, test } from 'vitest';
import { closingLine, countReport, countVitest, sum } from '../lib/tally.mjs';

const ONE_FAILED = { passed: 0, failed: 1 };

function report(...files: { status: string; tests: string[] }[]): string {
  return JSON.stringify({
    testResults: files.map(({ status, tests }) => ({
      status,
      assertionResults: tests.map((each) => ({ status: each })),
    })),
  });
}

describe('the count of a vitest run', () => {
  test('is that of its tests; a skipped one is neither', () => {
    const text = report(
      { status: 'failed', tests: ['passed', 'failed', 'skipped'] },
      { status: 'passed', tests: ['passed'] },
    );
    expect(countVitest(text, 1)).toMatchObject({ passed: 2, failed: 1 });
  });

  test('has one failure for a file that could not be loaded', () => {
    const text = report({ status: 'failed', tests: [] }, { status: 'passed', tests: ['passed'] });
    expect(countVitest(text, 1)).toMatchObject({ passed: 1, failed: 1 });
  });

  test('has one failure for an error outside every test', () => {
    expect(countVitest(report({ status: 'passed', tests: ['passed'] }), 1)).toMatchObject({ passed: 1, failed: 1 });
    expect(countVitest(report({ status: 'passed', tests: ['passed'] }), null)).toMatchObject({ passed: 1, failed: 1 });
  });

  test.each([undefined, '', '{"testResults":[', '{}'])('is one failure without a report (%j)', (text) => {
    expect(countVitest(text, 0)).toEqual(ONE_FAILED);
  });

  test('is one failure when no test ran', () => {
    expect(countVitest(report(), 0)).toMatchObject(ONE_FAILED);
  });

  test('says which tests failed, and the first line of why', () => {
    const failed = { status: 'failed', fullName: 'a lock is held', failureMessages: ['Error: it is not\n  at here'] };
    const file = { status: 'failed', name: 'locks.test.ts', assertionResults: [failed, { status: 'passed' }] };
    const broken = { status: 'failed', name: 'broken.test.ts', message: 'no such module\n at', assertionResults: [] };
    expect(countVitest(JSON.stringify({ testResults: [file, broken] }), 1).why).toEqual([
      'locks.test.ts: a lock is held: Error: it is not',
      'broken.test.ts: no such module',
    ]);
  });
});

describe('the count of the smoke checks', () => {
  test('is what they report', () => {
    expect(countReport('{"passed":99,"failed":0}', 0)).toEqual({ passed: 99, failed: 0 });
    expect(countReport('{"passed":98,"failed":1}', 1)).toEqual({ passed: 98, failed: 1 });
  });

  test('has one failure for a run that ended badly all the same', () => {
    expect(countReport('{"passed":99,"failed":0}', null)).toEqual({ passed: 99, failed: 1 });
  });

  test.each([undefined, '', '{"passed":"all","failed":0}'])('is one failure without a usable report (%j)', (text) => {
    expect(countReport(text, 0)).toEqual(ONE_FAILED);
  });
});

test('the closing line adds up everything', () => {
  expect(
    closingLine(
      sum([
        { passed: 1, failed: 0 },
        { passed: 10, failed: 2 },
      ]),
    ),
  ).toBe('11 passed, 2 failed');
});
