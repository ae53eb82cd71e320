/** The verdicts for people: one line per check. */
import type { CheckResult, SmokeReport } from './check.ts';

export function resultLine({ name, ok, ms, error, skipped }: CheckResult): string {
  if (skipped !== undefined) return `- ${name} (skipped: ${skipped})`;
  const line = `${ok ? '✓' : '✗'} ${name} (${ms} ms)`;
  return error === undefined ? line : `${line}\n    ${error.replaceAll('\n', '\n    ')}`;
}

export function summaryLine({ passed, failed, skipped }: SmokeReport): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
