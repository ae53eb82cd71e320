import { setTimeout as sleep } from 'node:timers/promises';
import { LANES, type Injected, type Lane, type Watch } from '../faults/fault.ts';
import type { TestedMesh } from '../mesh/tested-mesh.ts';
import { Random } from '../random.ts';
import type { Planned } from './draw-schedule.ts';

/** A fault that was injected, and healed. */
export interface Happened {
  readonly name: string;
  readonly target: string;
  /** That of the injection where nothing had to be healed. */
  readonly healedAtMs: number;
}

export interface CarryOutOptions {
  readonly watch: Watch;
  /** Milliseconds since the load began. */
  readonly now: () => number;
  /** Ends the faults that are there, and makes no more. */
  readonly signal: AbortSignal;
  readonly onInjected: (planned: Planned, target: string) => void;
  readonly onHealed: (happened: Happened) => void;
  /** The fault is over: it was healed, and where it took a server away, the servers work together again. */
  readonly onOver: (lane: Lane, fromMs: number, injected: Injected) => void;
  /** Why a fault could not be injected; the next one will be. */
  readonly onSkipped: (planned: Planned, why: string) => void;
}

/** How long a cluster has to be whole again before the next server is taken away. */
const readyWithinMs = 120_000;

/** Injects what is planned and heals it, lane beside lane. @throws Error when something does not heal */
export async function carryOut(
  mesh: TestedMesh,
  schedule: readonly Planned[],
  options: CarryOutOptions,
): Promise<void> {
  const lanes = LANES.map((lane) => schedule.filter(({ fault }) => fault.lane === lane));
  const ended = await Promise.allSettled(lanes.map((lane) => carryOutLane(mesh, lane, options)));
  const failure = ended.find((each) => each.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

async function carryOutLane(mesh: TestedMesh, lane: readonly Planned[], options: CarryOutOptions): Promise<void> {
  const { now, signal } = options;
  for (const planned of lane) {
    await sleepUntil(planned.atMs, now, signal);
    if (signal.aborted) return;
    await carryOutOne(mesh, planned, options);
  }
}

async function carryOutOne(mesh: TestedMesh, planned: Planned, options: CarryOutOptions): Promise<void> {
  const { now, signal, onInjected, onHealed, onOver, onSkipped } = options;
  const { fault, durationMs, seed } = planned;
  const beganAtMs = now();
  let injected;
  try {
    injected = await fault.apply(mesh, new Random(seed), options.watch);
  } catch (error) {
    onSkipped(planned, (error as Error).message);
    return;
  }
  const { target, heal } = injected;
  const injectedAtMs = now();
  onInjected(planned, target);
  if (heal !== undefined) {
    await sleepUntil(injectedAtMs + durationMs, now, signal);
    await heal();
  }
  const healedAtMs = heal === undefined ? injectedAtMs : now();
  onHealed({ name: fault.name, target, healedAtMs });
  if (fault.lane === 'servers') await mesh.servers.ready(readyWithinMs);
  onOver(fault.lane, beganAtMs, injected);
}

async function sleepUntil(atMs: number, now: () => number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(0, atMs - now()), undefined, { signal }).catch(() => {});
}
