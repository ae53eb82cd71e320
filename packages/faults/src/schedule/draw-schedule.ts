import { FAULTS } from '../faults/all.ts';
import { LANES, type Fault, type Lane } from '../faults/fault.ts';
import type { MeshShape } from '../mesh/tested-mesh.ts';
import { Random } from '../random.ts';

/** A fault that will be injected. */
export interface Planned {
  readonly fault: Fault;
  /** Since the load began. */
  readonly atMs: number;
  readonly durationMs: number;
  /** For what the fault draws when it is applied. */
  readonly seed: number;
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly shape: MeshShape;
  readonly durationMs: number;
  /** Names of faults; default: all. */
  readonly only?: readonly string[] | undefined;
}

/** Pauses between two faults of a lane, in milliseconds. A server that was away has to catch up. */
const pauses: Readonly<Record<Lane, readonly [number, number]>> = {
  servers: [2_500, 6_000],
  agents: [700, 3_000],
  links: [700, 3_000],
  streams: [5_000, 15_000],
};
const firstPauseMs: readonly [number, number] = [500, 2_000];
/** Left at the end of a run for everything to go on. */
const quietEndMs = 1_500;

/** What goes wrong and when, by lane, oldest first. The seed decides, and what the mesh is made of; nothing else. */
export function drawSchedule({ seed, shape, durationMs, only }: ScheduleOptions): Planned[] {
  const possible = FAULTS.filter(({ name, isFor }) => (isFor?.(shape) ?? true) && (only?.includes(name) ?? true));
  const random = new Random(seed).fork('schedule');
  return LANES.flatMap((lane) => {
    const faults = possible.filter((fault) => fault.lane === lane);
    return faults.length === 0 ? [] : drawLane(lane, faults, random.fork(lane), durationMs - quietEndMs);
  });
}

function drawLane(lane: Lane, faults: readonly Fault[], random: Random, endMs: number): Planned[] {
  const planned: Planned[] = [];
  let remaining: Fault[] = [];
  for (let atMs = random.int(...firstPauseMs); ;) {
    // Each has its turn before any has a second one.
    if (remaining.length === 0) remaining = faults.filter(({ isOnce }) => planned.length === 0 || isOnce !== true);
    const [fault] = remaining.splice(random.int(0, remaining.length - 1), 1);
    if (fault === undefined) return planned;
    const durationMs = fault.drawDurationMs(random);
    const seed = random.int(0, 0xffff_ffff);
    if (atMs + durationMs > endMs) return planned;
    planned.push({ fault, atMs, durationMs, seed });
    atMs += durationMs + random.int(...pauses[lane]);
  }
}
