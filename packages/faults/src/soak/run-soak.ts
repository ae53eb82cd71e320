/** The one place that wires a soak: mesh, steady load, connections cut now and then, samples. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Desk } from '../clients/desk.ts';
import { cutConnections } from '../faults/cut-connections.ts';
import { NOBODY } from '../faults/fault.ts';
import { startWork, type Work } from '../loads/work.ts';
import { ProgressLines } from '../progress-lines.ts';
import { Random } from '../random.ts';
import { Recorder } from '../recorder.ts';
import { Tally } from '../report/tally.ts';
import { connectClients, Interrupted, startMesh, type MeshRunOptions } from '../start-mesh.ts';
import { judge } from './judge.ts';
import { takeSample, type Sample } from './sample.ts';
import type { SoakReport } from './soak-report.ts';

/** Code is compiled, caches are filled and pools have grown by then. */
const warmUpShare = 0.15;
const longestWarmUpMs = 180_000;
/** Connections come back, leases end, sockets close. */
const settleMs = 8_000;
const samples = 30;
const cutEveryMs: readonly [number, number] = [1_500, 4_000];

/** @throws CannotRun, Interrupted */
export async function runSoak(options: MeshRunOptions & { command: string }): Promise<SoakReport> {
  const { command, seed, minutes, replicas, agents, signal, onLine } = options;
  const durationMs = minutes * 60_000;
  const tally = new Tally();
  // Resources are judged here, and nothing else: `pnpm faults` without soak holds histories against the invariants.
  const checker = { add: () => {}, breaches: [], knownLimits: {}, finish: () => [] };
  const recorder = new Recorder({ checker, listeners: [tally] });
  const now = (): number => recorder.now();
  const progress = new ProgressLines({ now, durationMs, tally, recorder, onLine });
  const onDeath = ({ name, log }: { name: string; log: string }): void => onLine(`${name} has ended:\n${log}`);
  const mesh = await startMesh(options, onDeath);
  const closing: (() => unknown)[] = [() => mesh.stop()];
  try {
    const clients = await connectClients(mesh);
    closing.push(() => Promise.all(clients.map((client) => client.close())));
    const random = new Random(seed);
    const desk = new Desk(recorder, random.fork('desk'));
    const rest = async (until: Promise<unknown>, work: Work): Promise<void> => {
      closing.push(() => work.abandon());
      await Promise.race([work.failed, until]);
      await Promise.race([work.failed, work.stop()]);
      if (signal.aborted) throw new Interrupted();
      await sleep(settleMs);
    };
    recorder.begin();
    progress.start();
    progress.say('warming up');
    const warmUpMs = Math.min(longestWarmUpMs, durationMs * warmUpShare);
    const warmUp = startWork(clients, desk, random.fork('warm-up'), 'warm-up ');
    await rest(
      sleep(warmUpMs, undefined, { signal }).catch(() => {}),
      warmUp,
    );
    const start = await takeSample(mesh, now());
    const answeredBefore = tally.counts.answered;
    const endMs = now() + durationMs - warmUpMs;
    const between: Sample[] = [];
    const work = startWork(clients, desk, random.fork('loads'));
    const until = { isOver: () => now() >= endMs, signal };
    const cuts = random.fork('cuts');
    const nextCutMs = (): number => cuts.int(...cutEveryMs);
    const cutting = repeat(until, nextCutMs, () => cutConnections.apply(mesh, cuts, NOBODY));
    const sampleEveryMs = (endMs - now()) / samples;
    const sampling = repeat(
      until,
      () => sampleEveryMs,
      async () => between.push(await takeSample(mesh, now())),
    );
    await rest(Promise.all([cutting, sampling]), work);
    const end = await takeSample(mesh, now());
    const answered = tally.counts.answered - answeredBefore;
    const seconds = Math.round((end.atMs - start.atMs) / 1000);
    return {
      command,
      seed,
      replicas,
      agents,
      seconds,
      answered,
      answeredPerSecond: Math.round(answered / seconds),
      unknown: tally.counts.unknown,
      cuts: await cutting,
      findings: judge({ start, end, between, answered }),
    };
  } finally {
    progress.stop();
    for (const close of closing.toReversed()) await close();
  }
}

/** Does something after each pause until it is over. @returns how often */
async function repeat(
  { isOver, signal }: { isOver: () => boolean; signal: AbortSignal },
  pauseMs: () => number,
  work: () => Promise<unknown>,
): Promise<number> {
  for (let turns = 0; ; turns++) {
    await sleep(pauseMs(), undefined, { signal }).catch(() => {});
    if (isOver() || signal.aborted) return turns;
    await work();
  }
}
