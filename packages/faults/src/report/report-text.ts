import type { Breach } from '../history.ts';
import { seconds } from '../progress-lines.ts';
import type { Quantiles } from './availability.ts';
import type { Report } from './report.ts';

/** Of the breaches of one kind; the JSON has every one. */
const shownBreaches = 3;
const shownEntries = 30;

/** The report for people. */
export function reportText(report: Report): string {
  const { commands, unavailability } = report;
  const { queued, refusals, unknown, waiters } = commands;
  return [
    `${report.replicas === 1 ? 'one server' : `${report.replicas} servers`}, ${report.agents} replicas of each agent, ` +
      `${report.seconds} s of load, seed ${report.seed}`,
    '',
    `commands  ${commands.sent} sent, ${commands.answered} answers (${commands.answeredPerSecond}/s), ` +
      `${commands.committed} committed (${commands.committedPerSecond}/s), ${commands.single} sent once and answered, ` +
      `unknown: ${unknown['timeout'] ?? 0} timeouts, ${unknown['unavailable'] ?? 0} unavailable`,
    `waiters   ${waiters.sent} sent, ${waiters.granted} granted, ${waiters.refused} refused, ${waiters.left} left, ` +
      `${waiters.unanswered} without an answer`,
    `queues    ${queued.stored} stored, ${queued.cancelled} cancelled, ${queued.kept} too late for it, ` +
      `${queued.unsure} perhaps cancelled`,
    `refusals  ${Object.entries(refusals)
      .map(([code, count]) => `${code} ${count}`)
      .join(', ')}`,
    `logs      ${commands.logged} commits, ${commands.expired} of them by the server; ${commands.heard} events heard`,
    ...report.witness.map(
      ({ agent, messages, copied, missed, quietMs }) =>
        `          ${agent}: ${messages} messages, ${copied} known from their events only, ${missed} unknown, ` +
        `not readable for ${seconds(quietMs)} at the longest`,
    ),
    `away      ${seconds(unavailability.totalMs)} without a commit in ${unavailability.gaps} pauses over 1 s, ` +
      `the longest ${seconds(unavailability.longestMs)}`,
    '',
    ...table([
      ['outcomes', 'committed', 'replayed', 'conflict', 'rejected', 'denied', 'unknown'],
      ...Object.entries(commands.outcomes).map(([action, counts]) => [
        action,
        ...['committed', 'replayed', 'conflict', 'rejected', 'denied', 'unknown'].map((kind) =>
          String(counts[kind] ?? 0),
        ),
      ]),
    ]),
    '',
    ...table([
      ['faults', 'injected', 'recovery p50 ms', 'p99', 'max', 'never'],
      ...report.faults.map(({ name, injected, afterHealMs, never }) => [
        name,
        String(injected),
        ...numbers(afterHealMs, ['p50', 'p99', 'max']),
        String(never),
      ]),
    ]),
    ...report.skipped.map((why) => `skipped   ${why}`),
    ...(report.failedStarts > 0 ? [`agents    ${report.failedStarts} starts given up and tried again`] : []),
    ...Object.entries(report.knownLimits).map(([limit, count]) => `limit     ${limit}: ${count} times`),
    '',
    ...breachLines(report),
  ].join('\n');
}

/** By kind: those that differ only in names and numbers are of one. */
function breachLines({ breaches, command, problems }: Report): string[] {
  const kinds = new Map<string, Breach[]>();
  for (const breach of breaches) {
    const kind = `BREACH of ${breach.invariant}: ${kindOf(breach)}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), breach]);
  }
  const { length } = breaches;
  return [
    ...problems.map((what) => `PROBLEM of the harness: ${what}; what only a whole log tells was not judged`),
    ...[...kinds].flatMap(([kind, found]) => [
      `${kind}${found.length > 1 ? `: ${found.length} times, the first` : ''}`,
      ...found.slice(0, shownBreaches).flatMap(breachText),
    ]),
    length === 0 ? 'no breach' : `${length} ${length === 1 ? 'breach' : 'breaches'}; to repeat: ${command}`,
  ];
}

/** Names in quotation marks, ids and numbers are left out. */
function kindOf({ what }: Breach): string {
  return what.replaceAll(/"[^"]*"|[\w.:-]*\d[\w.:-]*/g, '…');
}

function breachText({ what, history }: Breach): string[] {
  const left = history.length - shownEntries;
  return [
    `  ${what}`,
    ...history.slice(0, shownEntries).map((entry) => `    ${JSON.stringify(entry)}`),
    ...(left > 0 ? [`    and ${left} more`] : []),
  ];
}

function numbers(quantiles: Quantiles | undefined, names: readonly (keyof Quantiles)[]): string[] {
  return names.map((name) => (quantiles === undefined ? '-' : String(quantiles[name])));
}

/** Columns that line up: the first to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  );
}
