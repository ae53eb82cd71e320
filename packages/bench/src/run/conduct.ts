import { measureProcesses, tellWhileSlow, type OnProgress } from '@meshforge/processes';
import type { Host, Service } from '../contender.ts';
import type { Load, Participant } from '../loads/load.ts';
import { Client } from './client.ts';
import type { LoadResult, Measurement, ParticipantResult } from './result.ts';
import { summarize, type MeasuredSlice } from './summarize.ts';

/** How long and how often; the same for every contender. */
export interface Plan {
  readonly concurrency: readonly number[];
  readonly rounds: number;
  readonly sliceMs: number;
  /** Before anything is measured, at the highest concurrency. */
  readonly warmUpMs: number;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

interface Running {
  readonly participant: Participant;
  readonly service: Service;
  readonly client: Client;
  readonly slices: Map<number, MeasuredSlice[]>;
  wrong?: string;
}

/**
 * Has all contenders of a load work in turn: in every round each one works for a short while at every concurrency, and the
 * order moves on by one from round to round. So whatever else the machine does meanwhile hits all of them alike.
 */
export async function conduct(load: Load, host: Host, plan: Plan): Promise<LoadResult> {
  const { signal, onProgress } = plan;
  const running: Running[] = [];
  const results = new Map<string, ParticipantResult>();
  try {
    for (const participant of load.participants) {
      signal.throwIfAborted();
      onProgress(`${load.id}: starting ${participant.name}`);
      try {
        running.push(await start(load, participant, host, onProgress));
      } catch (error) {
        const missing = messageOf(error);
        onProgress(`${load.id}: ${participant.name} takes no part: ${missing}`);
        results.set(participant.id, { ...described(participant), versions: {}, measurements: [], missing });
      }
    }
    for (const each of running) await each.client.run(Math.max(...plan.concurrency), plan.warmUpMs);
    for (let round = 0; round < plan.rounds; round++) await playRound(load, running, round, plan);
    for (const each of running) {
      const memory = await measureProcesses(each.service.pids());
      await each.client.finish().catch((error: unknown) => (each.wrong = messageOf(error)));
      const figures = await each.service.inspect?.();
      results.set(each.participant.id, { ...resultOf(each, memory?.memoryBytes), ...(figures && { figures }) });
    }
  } finally {
    await Promise.all(running.map(stop));
  }
  const { id, title, unit, participants } = load;
  return { id, title, unit, participants: participants.map((each) => results.get(each.id) as ParticipantResult) };
}

async function start(load: Load, participant: Participant, host: Host, onProgress: OnProgress): Promise<Running> {
  const service = await participant.start(host);
  try {
    const starting = Client.start(load.id, participant.id, service.address);
    const client = await tellWhileSlow(onProgress, `${load.id}: making ${participant.name} ready`, starting);
    return { participant, service, client, slices: new Map() };
  } catch (error) {
    await service.stop();
    throw error;
  }
}

async function stop({ client, service }: Running): Promise<void> {
  await client.stop();
  await service.stop();
}

async function playRound(load: Load, running: readonly Running[], round: number, plan: Plan): Promise<void> {
  const { concurrency, rounds, sliceMs, signal, onProgress } = plan;
  const order = [...running.slice(round % running.length), ...running.slice(0, round % running.length)];
  for (const atOnce of concurrency) {
    onProgress(`${load.id}: round ${round + 1} of ${rounds}, ${atOnce} at a time`);
    for (const each of order) {
      signal.throwIfAborted();
      const slices = each.slices.get(atOnce) ?? [];
      each.slices.set(atOnce, slices);
      slices.push(await measureSlice(each, atOnce, sliceMs));
    }
  }
}

async function measureSlice({ client, service }: Running, atOnce: number, sliceMs: number): Promise<MeasuredSlice> {
  const pids = [client.pid, ...service.pids()];
  const before = await measureProcesses(pids);
  const slice = await client.run(atOnce, sliceMs);
  const after = await measureProcesses(pids);
  const cpuMs = before === undefined || after === undefined ? undefined : after.cpuMs - before.cpuMs;
  return { slice, cpuMs };
}

function resultOf({ participant, service, slices, wrong }: Running, memoryBytes?: number): ParticipantResult {
  const measurements: Measurement[] = [...slices].map(([concurrency, each]) => summarize(concurrency, each));
  return {
    ...described(participant),
    versions: service.versions,
    measurements,
    ...(memoryBytes === undefined ? {} : { memoryMiB: memoryBytes / 2 ** 20 }),
    ...(wrong === undefined ? {} : { wrong }),
  };
}

function described({ id, name, about, durability }: Participant) {
  return { id, name, about, durability };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
