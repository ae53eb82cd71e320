import { setTimeout as sleep } from 'node:timers/promises';
import { commandStream, inventoryContract } from '@meshforge/protocol';
import { connectMesh } from '@meshforge/runtime';
import { startNatsServer } from '@meshforge/nats-server';
import type { OnProgress } from '@meshforge/processes';
import { watchStream, type StreamWatch } from '../contenders/watch-stream.ts';
import { pickOwn } from '../loads/pick-own.ts';
import { runSlice } from '../run/run-slice.ts';
import { summarize, type MeasuredSlice } from '../run/summarize.ts';
import { Stock } from './stock.ts';
import { startWatchedAgent } from './watched-agent.ts';

export interface BacklogOptions {
  /** Durable commands in the queue when the agent starts. */
  readonly commands: number;
  readonly rounds: number;
  /** How long it is asked while the queue is empty. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** One life of an agent. */
export interface Phase {
  readonly name: string;
  readonly maxRssMiB: number;
  readonly maxHeapMiB: number;
  /** From ready to an empty queue, where there was something in it. */
  readonly workedOffS?: number;
  /** Of those who asked meanwhile. */
  readonly asked?: {
    readonly perSecond: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
    readonly failures: number;
  };
}

const entities = 1_000;
const asking = 64;
const storing = 256;
const pollMs = 50;
/** A turn of asking; those who ask begin the next one at once. */
const turnMs = 250;

interface Stage {
  readonly url: string;
  readonly asked: Stock;
  readonly queued: Stock;
  readonly queue: StreamWatch;
}

/** @throws what was wrong with the work: each stored command and each request counts once. */
export async function measureBacklog(options: BacklogOptions): Promise<Phase[]> {
  const { commands, rounds, idleMs, signal, onProgress } = options;
  const nats = await startNatsServer({ onProgress });
  const mesh = await connectMesh({ servers: nats.url, timeoutMs: 60_000 });
  const queue = await watchStream(nats.url, commandStream(inventoryContract.name));
  const asked = new Stock(mesh, 'asked', entities);
  const queued = new Stock(mesh, 'queued', entities);
  const stage = { url: nats.url, asked, queued, queue };
  const phases: Phase[] = [];
  const play = async (name: string, run: () => Promise<Phase>): Promise<void> => {
    signal.throwIfAborted();
    onProgress(name);
    phases.push(await run());
  };
  try {
    await prepare(stage);
    for (let round = 0; round < rounds; round++) {
      await play('idle queue, asked', async () => await live(stage, 'idle queue, asked', { forMs: idleMs }));
      onProgress(`storing ${commands} commands`);
      await store(queued, commands, signal);
      await play('worked off, asked', async () => await live(stage, 'worked off, asked', {}));
      onProgress(`storing ${commands} commands`);
      await store(queued, commands, signal);
      await play('worked off, not asked', async () => await live(stage, 'worked off, not asked', { isAsked: false }));
    }
    onProgress('counting');
    await verify(stage);
    return phases;
  } finally {
    await queue.close();
    await mesh.close();
    await nats.stop();
  }
}

async function prepare({ url, asked, queued }: Stage): Promise<void> {
  const agent = await startWatchedAgent(url);
  await asked.create();
  await queued.create();
  await agent.stop();
}

async function verify({ url, asked, queued }: Stage): Promise<void> {
  const agent = await startWatchedAgent(url);
  await asked.verify();
  await queued.verify();
  await agent.stop();
}

async function store(queued: Stock, commands: number, signal: AbortSignal): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < commands) {
      signal.throwIfAborted();
      await queued.store(next++ % queued.size);
    }
  };
  await Promise.all(Array.from({ length: storing }, work));
}

/** Starts an agent; it is asked until the queue is empty, or for so long. */
async function live(
  { url, asked, queue }: Stage,
  name: string,
  { forMs, isAsked = true }: { forMs?: number; isAsked?: boolean },
): Promise<Phase> {
  const agent = await startWatchedAgent(url);
  try {
    const began = performance.now();
    const ended = new AbortController();
    const ending = (forMs === undefined ? untilEmpty(queue) : sleep(forMs))
      .then(() => performance.now() - began)
      .finally(() => ended.abort());
    const [elapsedMs, slices] = await Promise.all([ending, isAsked ? ask(asked, ended.signal) : []]);
    const { maxRssBytes, heapBytes } = agent.most();
    const { perSecond, p50Ms, p99Ms, failures } = summarize(asking, slices);
    return {
      name,
      maxRssMiB: maxRssBytes / 2 ** 20,
      maxHeapMiB: heapBytes / 2 ** 20,
      ...(forMs === undefined && { workedOffS: elapsedMs / 1000 }),
      ...(isAsked && { asked: { perSecond, p50Ms, p99Ms, failures } }),
    };
  } finally {
    await agent.stop();
  }
}

async function untilEmpty(queue: StreamWatch): Promise<void> {
  while ((await queue.messages()) > 0) await sleep(pollMs);
}

async function ask(asked: Stock, ended: AbortSignal): Promise<MeasuredSlice[]> {
  const slices: MeasuredSlice[] = [];
  const work = {
    run: async (worker: number) => await asked.adjust(pickOwn(asked.size, worker, asking)),
    close: () => Promise.resolve(),
  };
  while (!ended.aborted) slices.push({ slice: await runSlice(work, asking, turnMs), cpuMs: undefined });
  return slices;
}
