import type { LoadResult, RunResult } from '../run/result.ts';

const width = 860;
const labelWidth = 260;
/** Shown is the highest measured concurrency that is not above it. */
const shownConcurrency = 64;
const rowHeight = 24;
const headHeight = 46;
const gap = 28;
const COLOURS = { fsync: '#1b6e53', written: '#2f6fb0', memory: '#b0782f' } as const;

/** Horizontal bars of throughput, one group for each load. */
export function svgChart({ loads, machine, startedAt }: RunResult): string {
  let y = 40;
  const groups = loads.map((load) => {
    const group = loadGroup(load, y);
    y = group.bottom + gap;
    return group.svg;
  });
  const title = `MeshForge ${machine.meshforge} on ${machine.cores} cores, ${startedAt.slice(0, 10)}; longer is faster`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(16, 24, title, 'font-weight="600"'),
    legend(24),
    ...groups,
    '</svg>',
    '',
  ].join('\n');
}

function loadGroup(load: LoadResult, top: number): { svg: string; bottom: number } {
  const all = [...new Set(load.participants.flatMap(({ measurements }) => measurements.map((m) => m.concurrency)))];
  const concurrency = Math.max(...all.filter((each) => each <= shownConcurrency));
  const rows = load.participants.flatMap(({ name, durability, measurements }) => {
    const measurement = measurements.find((each) => each.concurrency === concurrency);
    return measurement === undefined ? [] : [{ name, durability, perSecond: measurement.perSecond }];
  });
  const most = Math.max(1, ...rows.map(({ perSecond }) => perSecond));
  const bars = rows.map(({ name, durability, perSecond }, index) => {
    const y = top + headHeight + index * rowHeight;
    const length = Math.max(1, (perSecond / most) * (width - labelWidth - 110));
    return [
      text(labelWidth - 10, y + 13, name, 'text-anchor="end"'),
      `<rect x="${labelWidth}" y="${y}" width="${length.toFixed(1)}" height="17" rx="2" fill="${COLOURS[durability]}"/>`,
      text(labelWidth + length + 8, y + 13, `${Math.round(perSecond).toLocaleString('en')}/s`),
    ].join('\n');
  });
  const heading = text(16, top + 28, `${load.title}, ${concurrency} at a time`, 'font-weight="600"');
  return { svg: [heading, ...bars].join('\n'), bottom: top + headHeight + rows.length * rowHeight };
}

function legend(y: number): string {
  return (['fsync', 'written', 'memory'] as const)
    .map((durability, index) => {
      const x = width - 270 + index * 90;
      const box = `<rect x="${x}" y="${y - 10}" width="11" height="11" rx="2" fill="${COLOURS[durability]}"/>`;
      return `${box}${text(x + 16, y, durability)}`;
    })
    .join('\n');
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`;
}
