import type { ProcessSample, Sample } from './sample.ts';

/** Something that is compared between the start and the end of a soak. */
export interface Finding {
  readonly what: string;
  readonly start: number;
  readonly end: number;
  /** What the end may have more than the start. */
  readonly tolerance: number;
  readonly isSteady: boolean;
}

export interface SoakSamples {
  /** After the warm-up, and at the end: both at rest. */
  readonly start: Sample;
  readonly end: Sample;
  /** Under load, in between. */
  readonly between: readonly Sample[];
  /** Commands that were answered between start and end. */
  readonly answered: number;
}

const MiB = 1024 * 1024;

/** What the caches of the engine and of the agent may still come to hold once everything is warm. */
const heapNoiseBytes = MiB;
/** An entry that leaks weighs at least 32 bytes: a leak of one entry for every second command shows. */
const heapBytesPerCommand = 16;
/** Node.js gives pages back to the system late, or never: leaks show in the heap, this is against leaks outside of it. */
const agentResidentBytes = 32 * MiB;
/** A connection that is being made or given up in the very moment of the sample. */
const agentDescriptors = 2;
/** A server keeps an index of what is stored, and each message id for ten minutes; Go's collector lets it double. */
const serverBytes = 96 * MiB;
const serverBytesPerMessage = 1024;
/** Blocks of streams that happen to be open. */
const serverDescriptors = 24;
/** Whoever leads a stream or a group has some of its own, and leaders change. */
const tableEntries = 32;

/** Everything must end where it began. */
export function judge({ start, end, between, answered }: SoakSamples): Finding[] {
  const stored = Math.max(0, end.server.storedMessages - start.server.storedMessages);
  return [
    compare('connections', start.server.connections, end.server.connections, 0, 0),
    compare('subscriptions', start.server.subscriptions, end.server.subscriptions, 0, 0),
    compare(
      'entries in the servers’ subscription tables',
      start.server.tableEntries,
      end.server.tableEntries,
      tableEntries,
    ),
    ...pairs(start.agents, end.agents).flatMap(([first, last]) => {
      const perAgent = answered / start.agents.length;
      const heaps = between.flatMap(({ atMs, agents }) => {
        const y = agents.find(({ name }) => name === first.name)?.heapBytes;
        return y === undefined ? [] : [{ x: atMs, y }];
      });
      const growth = Math.round(slopeOf(heaps) * (end.atMs - start.atMs));
      const heapTolerance = heapNoiseBytes + heapBytesPerCommand * perAgent;
      return [
        compare(
          `heap of ${first.name} by its slope, bytes`,
          heaps[0]?.y ?? 0,
          (heaps[0]?.y ?? 0) + growth,
          heapTolerance,
        ),
        compare(`memory of ${first.name}, bytes`, first.residentBytes, last.residentBytes, agentResidentBytes),
        compare(`descriptors of ${first.name}`, first.fileDescriptors, last.fileDescriptors, agentDescriptors),
      ];
    }),
    ...pairs(start.servers, end.servers).flatMap(([first, last]) => [
      compare(
        `memory of ${first.name}, bytes`,
        first.residentBytes,
        last.residentBytes,
        serverBytes + (serverBytesPerMessage * stored) / start.servers.length,
      ),
      compare(`descriptors of ${first.name}`, first.fileDescriptors, last.fileDescriptors, serverDescriptors),
    ]),
  ];
}

/** @param missing how much less is as bad; default: less is fine */
function compare(what: string, start: number, end: number, tolerance: number, missing = Infinity): Finding {
  const more = end - start;
  return { what, start, end, tolerance: Math.round(tolerance), isSteady: more <= tolerance && -more <= missing };
}

function pairs(first: readonly ProcessSample[], last: readonly ProcessSample[]): [ProcessSample, ProcessSample][] {
  return first.flatMap((one) => {
    const other = last.find(({ name }) => name === one.name);
    return other === undefined ? [] : [[one, other] as [ProcessSample, ProcessSample]];
  });
}

/**
 * How much `y` grows with `x`: the median of the slopes between any two points (Theil and Sen), which a few samples taken in
 * a bad moment do not move. 0 for fewer than two points.
 */
function slopeOf(points: readonly { x: number; y: number }[]): number {
  const slopes = points
    .flatMap((one, index) => points.slice(index + 1).map((other) => (other.y - one.y) / (other.x - one.x)))
    .filter(Number.isFinite)
    .toSorted((left, right) => left - right);
  return slopes[Math.floor(slopes.length / 2)] ?? 0;
}
