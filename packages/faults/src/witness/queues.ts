/**
 * Liveness: with no fault present, every durable command that is stored is executed within seconds, and every event that a
 * reaction follows is handled. More of them take longer, so what counts is the oldest: none is before it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { commandStream, DEAD_LETTERS_STREAM, entityStream, HEADERS, inventoryContract } from '@meshforge/protocol';
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream';
import type { Breach } from '../history.ts';
import { EXECUTOR } from '../faults/targets.ts';
import { persist } from '../persist.ts';
import { REACTION_CONSUMER } from '../reactor/mirroring.ts';

/** More than a takeover, and than the longest pause between two tries. */
const stuckMs = 30_000;
/** A backlog may take that much longer for each command. */
const eachMs = 50;
const pollMs = 250;
const askWithinMs = 60_000;
const shown = 5;

/** Work that has to be done: the oldest of it, how much there is, and for people all that tells why it stands still. */
interface Waiting {
  readonly head: number;
  readonly count: number;
  readonly says: string;
}

/** Waits until nothing is left to do; what stands still is a breach. */
export async function awaitEmptyQueues(
  manager: JetStreamManager,
  agents: readonly string[],
  limitMs = stuckMs,
): Promise<Breach[]> {
  const queues = agents.map((agent) => queueOf(manager, commandStream(agent)));
  // In this order: what the reaction has seen is in a queue, or was. What is in a queue may yet lead to an event.
  const looks = [...queues, () => lookAtReaction(manager), ...queues];
  const heads = looks.map(() => ({ head: -1, sinceMs: 0 }));
  const startedAt = performance.now();
  for (let mostMs = limitMs; ; await sleep(pollMs)) {
    const stuck: string[] = [];
    let isIdle = true;
    for (const [index, look] of looks.entries()) {
      const waiting = await persist('a look at a queue', look, askWithinMs);
      const now = performance.now() - startedAt;
      const { count, head, says } = waiting ?? { count: 0, head: -1, says: '' };
      if (heads[index]?.head !== head) heads[index] = { head, sinceMs: now };
      isIdle &&= waiting === undefined;
      mostMs = Math.max(mostMs, limitMs + eachMs * count);
      const isStuck = now > mostMs || now - (heads[index]?.sinceMs ?? now) > limitMs;
      if (waiting !== undefined && isStuck && !stuck.includes(says)) stuck.push(says);
    }
    if (isIdle) return [];
    const after = `with no fault present, ${Math.round((performance.now() - startedAt) / 1000)} s after the load`;
    const breaches = stuck.map((says) => ({
      invariant: 'what is stored is executed',
      what: `${after}, ${says}`,
      history: [],
    }));
    if (breaches.length > 0) return breaches;
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

/** Looks at the durable commands to an agent. */
function queueOf(manager: JetStreamManager, stream: string): () => Promise<Waiting | undefined> {
  /** What took the place of a schedule that was cancelled stays for a while; there are only such before this. */
  let later = 1;
  const next = async (subject: string, from: number): Promise<StoredMsg | undefined> => {
    // The client's types do not know that the leader can be asked so.
    const question = { seq: from, next_by_subj: subject } as unknown as { seq: number };
    return (await manager.streams.getMessage(stream, question)) ?? undefined;
  };
  return async () => {
    let oldest = (await next('queue.cmd.>', 1)) ?? (await next('queue.later.>', later));
    while (oldest?.data.length === 0 && oldest.subject.startsWith('queue.later.')) {
      later = oldest.seq + 1;
      oldest = await next('queue.later.>', later);
    }
    if (oldest === undefined) return undefined;
    const { state } = await manager.streams.info(stream, { subjects_filter: 'queue.cmd.>' });
    const count = Object.values(state.subjects ?? {}).reduce((sum, each) => sum + each, 0);
    const { seq, subject, time } = oldest;
    const is = `the oldest is sequence ${seq} (${subject}, since ${time.toISOString()})`;
    const executor = await describe(manager, stream, EXECUTOR);
    return { head: seq, count, says: `${count} commands wait in ${stream}, ${is}; ${executor}` };
  };
}

async function lookAtReaction(manager: JetStreamManager): Promise<Waiting | undefined> {
  const stream = entityStream(inventoryContract.name);
  const info = await manager.consumers.info(stream, REACTION_CONSUMER);
  const count = info.num_pending + info.num_ack_pending;
  if (count === 0) return undefined;
  const says = `${count} events wait in ${stream}; ${await describe(manager, stream, REACTION_CONSUMER)}`;
  return { head: info.ack_floor.stream_seq, count, says };
}

async function describe(manager: JetStreamManager, stream: string, consumer: string): Promise<string> {
  const info = await manager.consumers.info(stream, consumer).catch((error: unknown) => (error as Error).message);
  if (typeof info === 'string') return `consumer ${consumer}: ${info}`;
  const { ack_floor: floor, delivered, num_ack_pending, num_pending } = info;
  const stands = `ack floor ${floor.stream_seq}, delivered to ${delivered.stream_seq}`;
  return `consumer ${consumer}: ${stands}, ${num_ack_pending} not acknowledged, ${num_pending} pending`;
}
