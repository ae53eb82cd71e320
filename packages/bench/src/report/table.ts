import type { GoalResult, LoadResult, Machine, Measurement, ParticipantResult, RunResult } from '../run/result.ts';

/** The whole run as text for a terminal. */
export function textReport(result: RunResult): string {
  return [machineLine(result.machine), ...result.loads.flatMap(loadLines), ...goalLines(result.goals)].join('\n');
}

function machineLine(machine: Machine): string {
  const { processor, cores, memoryGiB, system, node, meshforge, fsyncMs } = machine;
  return (
    `MeshForge ${meshforge}, Node.js ${node}, ${system}, ${cores} × ${processor}, ${memoryGiB} GiB; ` +
    `one fdatasync takes ${fsyncMs.toFixed(2)} ms`
  );
}

function loadLines({ title, unit, participants }: LoadResult): string[] {
  const lines = ['', title];
  const concurrencies = [
    ...new Set(participants.flatMap(({ measurements }) => measurements.map((m) => m.concurrency))),
  ];
  for (const concurrency of concurrencies) {
    const rows = participants.flatMap((participant) => {
      const measurement = participant.measurements.find((each) => each.concurrency === concurrency);
      return measurement === undefined ? [] : [{ participant, measurement }];
    });
    const reference = rows[0]?.measurement.perSecond ?? 0;
    lines.push('', `  ${concurrency} at a time`);
    const more = MORE.filter(({ of }) => rows.some(({ measurement }) => of(measurement) !== undefined));
    const head = [...headings(unit), ...more.map(({ heading }) => heading)];
    lines.push(
      ...table([
        head,
        ...rows.map(({ participant, measurement }) => [
          ...cells(participant, measurement, reference),
          ...more.map(({ of }) => of(measurement) ?? ''),
        ]),
      ]),
    );
  }
  lines.push('');
  for (const { name, missing, wrong, about, versions, figures } of participants) {
    const which = Object.entries(versions).map(([what, version]) => `${what} ${version}`);
    if (missing !== undefined) lines.push(`  ${name} TOOK NO PART: ${missing}`);
    else lines.push(`  ${name}: ${about} (${which.join(', ')})`);
    for (const [what, much] of Object.entries(figures ?? {})) lines.push(`      ${what}: ${much.toFixed(1)}`);
    if (wrong !== undefined) lines.push(`  ${name} WAS WRONG: ${wrong}`);
  }
  return lines;
}

/** Columns that only some loads have. */
const MORE: readonly { heading: string; of: (measurement: Measurement) => string | undefined }[] = [
  {
    heading: 'handovers/s',
    of: ({ handoversPerSecond: each }) => (each === undefined ? undefined : Math.round(each).toLocaleString('en')),
  },
  { heading: 'most/mean', of: ({ mostPerMean }) => mostPerMean?.toFixed(1) },
  {
    heading: 'executed/s',
    of: ({ executedPerSecond: each }) => (each === undefined ? undefined : Math.round(each).toLocaleString('en')),
  },
  { heading: 'messages', of: ({ messages }) => messages?.toFixed(1) },
];

function headings(unit: string): string[] {
  return ['', 'durability', `${unit}/s`, 'ratio', 'p50 ms', 'p99 ms', 'cpu µs', 'MiB', 'failed'];
}

function cells(participant: ParticipantResult, measurement: Measurement, reference: number): string[] {
  const { perSecond, p50Ms, p99Ms, cpuUs, failures } = measurement;
  return [
    participant.name,
    participant.durability,
    Math.round(perSecond).toLocaleString('en'),
    reference === 0 ? '' : (perSecond / reference).toFixed(2),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    cpuUs === undefined ? '' : Math.round(cpuUs).toLocaleString('en'),
    participant.memoryMiB === undefined ? '' : Math.round(participant.memoryMiB).toLocaleString('en'),
    failures === 0 ? '' : failures.toLocaleString('en'),
  ];
}

function goalLines(goals: readonly GoalResult[]): string[] {
  if (goals.length === 0) return [];
  const rows = goals.map(({ text, ratio, atLeast }) => {
    const verdict = ratio === undefined ? 'not measured' : ratio >= atLeast ? 'met' : 'MISSED';
    return [text, ratio === undefined ? '' : ratio.toFixed(2), `≥ ${atLeast}`, verdict];
  });
  return ['', 'Goals', '', ...table([['', 'ratio', 'goal', ''], ...rows])];
}

/** The first column to the left, all others to the right. */
function table(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    `    ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`.trimEnd(),
  );
}
