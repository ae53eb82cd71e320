/** The one place that wires a run: mesh, witness, loads, faults, report. */
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { Desk } from './clients/desk.ts';
import { listenToEvents } from './events.ts';
import { startWork } from './loads/work.ts';
import type { Death } from './mesh/agent-replica.ts';
import { AGENTS } from './mesh/tested-mesh.ts';
import { ProgressLines } from './progress-lines.ts';
import { Random } from './random.ts';
import { Recorder, type HistoryChecker } from './recorder.ts';
import { Availability } from './report/availability.ts';
import { toReport, type Report } from './report/report.ts';
import { Tally, type Counts } from './report/tally.ts';
import { carryOut, type Happened } from './schedule/carry-out.ts';
import { drawSchedule } from './schedule/draw-schedule.ts';
import { awaitProgress } from './settling.ts';
import { connectClients, Interrupted, nameOfClient, startMesh, type MeshRunOptions } from './start-mesh.ts';
import { awaitEmptyQueues, whatIsDead } from './witness/queues.ts';
import { Witness } from './witness/witness.ts';

export interface RunOptions extends MeshRunOptions {
  /** Names of faults; default: all. */
  readonly only?: readonly string[] | undefined;
  readonly historyFile?: string | undefined;
  readonly checker: HistoryChecker;
  /** The load goes on after its minutes until this holds. Default: it ends then. */
  readonly isEnough?: ((turns: ReadonlyMap<string, number>, counts: Counts) => boolean) | undefined;
  /** How to type it again. */
  readonly command: string;
}

/** After the load: until the last lease has ended, and a server that was busy has said so. */
const lastLeasesMs = 4_500;
const pollMs = 100;

/** @throws CannotRun, Interrupted */
export async function runFaults(options: RunOptions): Promise<Report> {
  const { seed, minutes, replicas, agents, signal, onLine } = options;
  const durationMs = minutes * 60_000;
  const shape = { replicas, agents };
  const schedule = drawSchedule({ seed, shape, durationMs, only: options.only });
  const tokens = AGENTS.map(({ agent }) => agent);
  const names = AGENTS.map(({ name }) => name);
  const tally = new Tally();
  const availability = new Availability(tokens);
  const recorder = new Recorder({
    checker: options.checker,
    listeners: [tally, availability],
    file: options.historyFile,
  });
  const deaths = { failedStarts: 0, areExpected: false };
  const onDeath = ({ name, served, log }: Death): void => {
    if (deaths.areExpected) return;
    const last = log.split('\n').at(-1) ?? '';
    if (served) {
      onLine(`${name} has ended by itself:\n${log}`);
      const what = `the agent ${name} ended although nobody killed it: ${last}`;
      recorder.addBreach({ invariant: 'agents live', what, history: [] });
    } else {
      deaths.failedStarts++;
      onLine(`${name} gave up before it had served, and is started again: ${last}`);
    }
  };
  const happened: Happened[] = [];
  const skipped: string[] = [];
  onLine(`seed ${seed}: ${schedule.length} faults in ${Math.round(durationMs / 1000)} s of load; starting the mesh`);
  const growsUp = schedule.some(({ fault }) => fault.name === 'scale-up');
  const mesh = await startMesh(options, onDeath, growsUp ? 1 : replicas);
  const closing: (() => Promise<unknown>)[] = [() => mesh.stop()];
  const progress = new ProgressLines({ now: () => recorder.now(), durationMs, tally, recorder, onLine });
  try {
    const watching = await mesh.connectDirectly('faults witness');
    closing.push(() => watching.close());
    const listening = await mesh.connectDirectly('faults events');
    closing.push(() => listening.close());
    const manager = await jetstreamManager(watching, { checkAPI: false, timeout: 2_000 });
    const witness = await Witness.start({
      connection: watching,
      manager,
      onLogged: (logged) => recorder.add(logged),
      onReadAgain: (logged) => recorder.addAgain(logged),
      onBreach: (breach) => recorder.addBreach(breach),
    });
    closing.push(async () => Promise.resolve(witness.stop()));
    const now = (): number => recorder.now();
    const onHeard = recorder.add.bind(recorder);
    listenToEvents(listening, { now, onHeard, onCopy: (message) => witness.addCopy(message) });
    await listening.flush();
    const clients = await connectClients(mesh);
    closing.push(() => Promise.all(clients.map((client) => client.close())));

    for (const client of clients) {
      client.onAway = (awayMs) => {
        const untilMs = now();
        const fromMs = untilMs - awayMs;
        recorder.add({ type: 'disturbed', fromMs, untilMs, lane: 'clients', clients: [client.name] });
      };
    }
    const random = new Random(seed);
    recorder.begin();
    const desk = new Desk(recorder, random.fork('desk'));
    const work = startWork(clients, desk, random.fork('loads'));
    closing.push(async () => Promise.resolve(work.abandon()));
    progress.start();
    const faults = carryOut(mesh, schedule, {
      now,
      signal,
      watch: {
        pauseReading: async (agent) => await witness.pause(agent),
        taken: (taken) => {
          recorder.add({ type: 'taken', ...taken });
          if (taken.what === 'tail') desk.forget();
        },
      },
      onInjected: (planned, target) => progress.injected(planned, target),
      onHealed: (each) => {
        progress.healed(each.name);
        happened.push(each);
      },
      onOver: (lane, fromMs, { clients: hit, ended }) => {
        const what = { ...(hit && { clients: hit.map(nameOfClient) }), ...(ended && { ended }) };
        recorder.add({ type: 'disturbed', fromMs, untilMs: now(), lane, ...what });
      },
      onSkipped: ({ fault }, why) => skipped.push(`${fault.name}: ${why}`),
    });
    const time = sleep(durationMs, undefined, { signal }).catch(() => {});
    const healed = faults.catch((error: unknown) => {
      const what = `something did not heal: ${(error as Error).message}`;
      recorder.addBreach({ invariant: 'everything heals', what, history: [] });
    });
    const orFail = async (step: Promise<unknown>): Promise<void> => {
      await Promise.race([work.failed, recorder.failed, step]);
    };
    await orFail(Promise.all([time, healed]));
    const { isEnough = () => true } = options;
    while (!signal.aborted && !isEnough(work.turns, tally.counts)) await orFail(sleep(pollMs));
    await orFail(awaitProgress(recorder, availability, tokens, mesh.agents, signal));
    if (signal.aborted) throw new Interrupted();
    availability.end(now());
    const loadMs = now();
    await orFail(work.stop());
    progress.say('load has ended; waiting for the queues to empty');
    for (const breach of await awaitEmptyQueues(manager, names)) recorder.addBreach(breach);
    for (const breach of await whatIsDead(manager)) recorder.addBreach(breach);
    progress.say('reading the logs once more');
    await sleep(lastLeasesMs);
    desk.close();
    const { problems, reports } = await witness.finish();
    await orFail(Promise.resolve());
    const breaches = await recorder.finish(problems.length === 0);
    return toReport({
      command: options.command,
      seed,
      replicas,
      agents,
      loadMs,
      tally,
      happened,
      skipped,
      availability,
      breaches,
      turns: work.turns,
      problems,
      witness: reports,
      failedStarts: deaths.failedStarts,
      knownLimits: recorder.knownLimits,
    });
  } finally {
    progress.stop();
    deaths.areExpected = true;
    for (const close of closing.toReversed()) await close();
  }
}
