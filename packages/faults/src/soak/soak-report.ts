import type { Finding } from './judge.ts';

/** What a soak found, as plain JSON. */
export interface SoakReport {
  readonly command: string;
  readonly seed: number;
  readonly replicas: number;
  readonly agents: number;
  /** Of steady load, without the warm-up. */
  readonly seconds: number;
  readonly answered: number;
  readonly answeredPerSecond: number;
  readonly unknown: Readonly<Record<string, number>>;
  /** How often connections were cut. */
  readonly cuts: number;
  readonly findings: readonly Finding[];
}

export function isSteady({ findings }: SoakReport): boolean {
  return findings.every((finding) => finding.isSteady);
}

/** The report for people. */
export function soakText(report: SoakReport): string {
  const { seconds, answered, answeredPerSecond, cuts, findings, unknown } = report;
  const width = Math.max(...findings.map(({ what }) => what.length));
  return [
    `${seconds} s of steady load, ${answered} answers (${answeredPerSecond}/s), ${unknown['timeout'] ?? 0} timeouts, ` +
      `connections cut ${cuts} times, seed ${report.seed}`,
    '',
    `${''.padEnd(width)}  ${['start', 'end', 'more', 'may be'].map((head) => head.padStart(12)).join('')}`,
    ...findings.map(({ what, start, end, tolerance, isSteady: steady }) => {
      const numbers = [start, end, end - start, tolerance].map((number) => String(Math.round(number)).padStart(12));
      return `${what.padEnd(width)}  ${numbers.join('')}${steady ? '' : '  GREW'}`;
    }),
    '',
    isSteady(report)
      ? 'everything ended where it began'
      : `${findings.filter((finding) => !finding.isSteady).length} did not end where they began; to repeat: ${report.command}`,
  ].join('\n');
}
