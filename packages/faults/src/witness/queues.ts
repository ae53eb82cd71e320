/**
 * Liveness: with no fault present, every durable command that is stored is executed within seconds, and every event that a
 * reaction follows is handled. More of them take longer, so what counts is the oldest: none is before it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { commandStream, DEAD_LETTERS_STREAM, entityStream, HEADERS, inventoryContract } from '@meshforge/protocol';
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream';
import type { Breach } from '../history.ts';
import { persist } from '../persist.ts';
import { EXECUTOR, REACTION_CONSUMER } from '../mesh/consumers.ts';

/** More than a takeover, and than the longest pause between two tries. */
const stuckMs = 30_000;
/** A backlog may take that much longer for each command. */
const eachMs = 50;
const pollMs = 250;
const askWithinMs = 60_000;
const shown = 5;

/** Work that has to be done, oldest first. */
interface Waiting {
  /** What is the oldest. */
  readonly head: number;
  readonly count: number;
  /** For people: all that tells why it stands still. */
  readonly says: string;
}

/** Waits until nothing is left to do; what stands still is a breach. */
export async function awaitEmptyQueues(
  manager: JetStreamManager,
  agents: readonly string[],
  limitMs = stuckMs,
): Promise<Breach[]> {
  const queues = agents.map((agent) => new Queue(manager, commandStream(agent)));
  const startedAt = performance.now();
  const heads = new Map<number, { head: number; sinceMs: number }>();
  let mostMs = limitMs;
  for (;;) {
    // In this order: what the reaction has seen is in a queue, or was. What is in a queue may yet lead to an event.
    const looks = [() => lookAtReaction(manager), ...queues.map((queue) => () => queue.look())];
    const before = await Promise.all(queues.map((queue) => queue.look()));
    const waiting = [];
    for (const look of looks) waiting.push(await look());
    if ([...before, ...waiting].every((each) => each === undefined)) return [];
    const now = performance.now() - startedAt;
    mostMs = Math.max(mostMs, limitMs + eachMs * Math.max(...waiting.map((each) => each?.count ?? 0)) - now);
    const stuck = waiting.flatMap((each, index) => {
      const known = heads.get(index);
      if (each === undefined) heads.delete(index);
      else if (known?.head !== each.head) heads.set(index, { head: each.head, sinceMs: now });
      return each !== undefined && (now > mostMs || now - (known?.sinceMs ?? now) > limitMs) ? [each.says] : [];
    });
    if (stuck.length > 0) {
      return stuck.map((says) => {
        const what = `with no fault present, ${seconds(now)} after the load, ${says}`;
        return { invariant: 'what is stored is executed', what, history: [] };
      });
    }
    await sleep(pollMs);
  }
}

/** Loads send only what can be executed, so that nothing may have become a dead letter. */
export async function whatIsDead(manager: JetStreamManager): Promise<Breach[]> {
  const ask = (): ReturnType<typeof manager.streams.info> =>
    manager.streams.info(DEAD_LETTERS_STREAM, { subjects_filter: '>' });
  const { state } = await persist(`a look at ${DEAD_LETTERS_STREAM}`, ask, askWithinMs);
  const subjects = Object.keys(state.subjects ?? {});
  if (subjects.length === 0) return [];
  const notes = subjects.slice(0, shown).map(async (subject) => {
    const letter = await manager.streams.getMessage(DEAD_LETTERS_STREAM, { last_by_subj: subject });
    return `${letter?.header.get(HEADERS.commandId)}: ${letter?.header.get(HEADERS.deadLetter)}`;
  });
  const what = `${subjects.length} commands are dead letters, the first: ${(await Promise.all(notes)).join('; ')}`;
  return [{ invariant: 'no dead letters', what, history: [] }];
}

/** The durable commands to an agent. */
class Queue {
  readonly #manager: JetStreamManager;
  readonly #stream: string;
  /** What took the place of a schedule that was cancelled stays for a while; there are only such before this. */
  #later = 1;

  constructor(manager: JetStreamManager, stream: string) {
    this.#manager = manager;
    this.#stream = stream;
  }

  async look(): Promise<Waiting | undefined> {
    return await persist(`a look at ${this.#stream}`, () => this.#look(), askWithinMs);
  }

  async #look(): Promise<Waiting | undefined> {
    const oldest = (await this.#next('queue.cmd.>', 1)) ?? (await this.#nextLater());
    if (oldest === undefined) return undefined;
    const { state } = await this.#manager.streams.info(this.#stream, { subjects_filter: 'queue.cmd.>' });
    const count = Object.values(state.subjects ?? {}).reduce((sum, each) => sum + each, 0);
    const { seq, subject, time } = oldest;
    const is = `the oldest is sequence ${seq} (${subject}, since ${time.toISOString()})`;
    const executor = await describe(this.#manager, this.#stream, EXECUTOR);
    return { head: seq, count, says: `${count} commands wait in ${this.#stream}, ${is}; ${executor}` };
  }

  async #nextLater(): Promise<StoredMsg | undefined> {
    for (;;) {
      const next = await this.#next('queue.later.>', this.#later);
      if (next === undefined || next.data.length > 0) return next;
      this.#later = next.seq + 1;
    }
  }

  async #next(subject: string, from: number): Promise<StoredMsg | undefined> {
    // The client's types do not know that the leader can be asked so.
    const question = { seq: from, next_by_subj: subject } as unknown as { seq: number };
    return (await this.#manager.streams.getMessage(this.#stream, question)) ?? undefined;
  }
}

async function lookAtReaction(manager: JetStreamManager): Promise<Waiting | undefined> {
  const stream = entityStream(inventoryContract.name);
  const ask = (): ReturnType<typeof manager.consumers.info> => manager.consumers.info(stream, REACTION_CONSUMER);
  const info = await persist(`a look at ${REACTION_CONSUMER}`, ask, askWithinMs);
  const count = info.num_pending + info.num_ack_pending;
  if (count === 0) return undefined;
  const says = `${count} events wait in ${stream}; ${await describe(manager, stream, REACTION_CONSUMER)}`;
  return { head: info.ack_floor.stream_seq, count, says };
}

async function describe(manager: JetStreamManager, stream: string, consumer: string): Promise<string> {
  try {
    const {
      ack_floor: floor,
      delivered,
      num_ack_pending,
      num_pending,
    } = await manager.consumers.info(stream, consumer);
    return (
      `consumer ${consumer}: ack floor ${floor.stream_seq}, delivered to ${delivered.stream_seq}, ` +
      `${num_ack_pending} not acknowledged, ${num_pending} pending`
    );
  } catch (error) {
    return `consumer ${consumer}: ${(error as Error).message}`;
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
