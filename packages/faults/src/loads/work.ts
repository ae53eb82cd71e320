import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../clients/client.ts';
import type { Desk } from '../clients/desk.ts';
import type { Random } from '../random.ts';
import { LOADS } from './all.ts';
import type { Load, Worker } from './load.ts';

/** All loads at work. */
export interface Work {
  /** Turns that each load has finished. */
  readonly turns: ReadonlyMap<string, number>;
  /** Rejects when a load does: a fault of the harness, or an answer that is none of the protocol's. */
  readonly failed: Promise<never>;
  /** Every worker finishes its turn. */
  stop(): Promise<void>;
  /** Nobody begins another turn; what is under way is left to fail. */
  abandon(): void;
}

/** @param shift names all that is done, so that one desk can have several */
export function startWork(clients: readonly Client[], desk: Desk, random: Random, shift = ''): Work {
  const turns = new Map(LOADS.map(({ name }) => [name, 0]));
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  let count = 0;
  const working = LOADS.flatMap((load) =>
    Array.from({ length: load.workers }, (_, index) => {
      const worker = newWorker(`${shift}${load.name}-${index + 1}`, count++, clients, desk, random);
      return workOn(load, worker, stopping.signal, () => turns.set(load.name, (turns.get(load.name) ?? 0) + 1));
    }),
  );
  const all = Promise.all(working);
  return {
    turns,
    failed: all.then(() => new Promise<never>(() => {})),
    stop: async () => {
      stopping.abort();
      await all;
    },
    abandon: () => {
      stopping.abort();
      all.catch(() => {});
    },
  };
}

function newWorker(name: string, number: number, clients: readonly Client[], desk: Desk, random: Random): Worker {
  const own = random.fork(name);
  const index = number % clients.length;
  let ids = 0;
  return {
    name,
    desk,
    random: own,
    client: clients[index] as Client,
    otherClient: () => clients[(index + own.int(1, clients.length - 1)) % clients.length] as Client,
    nextId: () => `${name}-${++ids}`,
    memory: new Map(),
  };
}

async function workOn(load: Load, worker: Worker, signal: AbortSignal, onTurn: () => void): Promise<void> {
  while (!signal.aborted) {
    await load.turn(worker);
    onTurn();
    await sleep(worker.random.int(...load.pauseMs), undefined, { signal }).catch(() => {});
  }
}
