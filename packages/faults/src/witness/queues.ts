import { setTimeout as sleep } from 'node:timers/promises';
import { commandStream, DEAD_LETTERS_STREAM, entityStream, HEADERS, inventoryContract } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { Breach } from '../history.ts';
import { persist } from '../persist.ts';
import { REACTION } from '../reactor/mirroring.ts';

const pollMs = 250;
const askWithinMs = 60_000;
/** More than the longest pause between two tries of a command, and a takeover. */
const emptyWithinMs = 60_000;
const shown = 5;

/**
 * Waits until the reaction has seen every event, and all durable commands of some agents have been executed or were taken back;
 * a queue that does not empty is a breach.
 */
export async function awaitEmptyQueues(
  manager: JetStreamManager,
  agents: readonly string[],
  withinMs = emptyWithinMs,
): Promise<Breach[]> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    // In this order: what the reaction has seen is in a queue, or was. What is in a queue may yet lead to an event.
    const before = await whatWaits(manager, agents);
    const left = new Set([...before, ...(await whatIsUnseen(manager)), ...(await whatWaits(manager, agents))]);
    if (left.size === 0) return [];
    if (performance.now() > deadline) {
      const what = `${withinMs / 1000} s after the last client has left there still wait ${[...left].join(', ')}`;
      return [{ invariant: 'queues empty', what, history: [] }];
    }
    await sleep(pollMs);
  }
}

/** Loads send only what can be executed, so that nothing may have become a dead letter. */
export async function whatIsDead(manager: JetStreamManager): Promise<Breach[]> {
  const subjects = await subjectsIn(manager, DEAD_LETTERS_STREAM);
  if (subjects.length === 0) return [];
  const notes = subjects.slice(0, shown).map(async (subject) => {
    const letter = await manager.streams.getMessage(DEAD_LETTERS_STREAM, { last_by_subj: subject });
    return `${letter?.header.get(HEADERS.commandId)}: ${letter?.header.get(HEADERS.deadLetter)}`;
  });
  const what = `${subjects.length} commands are dead letters, the first: ${(await Promise.all(notes)).join('; ')}`;
  return [{ invariant: 'no dead letters', what, history: [] }];
}

async function whatWaits(manager: JetStreamManager, agents: readonly string[]): Promise<string[]> {
  const found = agents.map(async (agent) => {
    const stream = commandStream(agent);
    const subjects = await waitingIn(manager, stream);
    return subjects.length === 0 ? [] : [`${stream} (${subjects.slice(0, shown).join(', ')})`];
  });
  return (await Promise.all(found)).flat();
}

async function whatIsUnseen(manager: JetStreamManager): Promise<string[]> {
  const consumer = `react_${REACTION}`;
  const ask = (): ReturnType<typeof manager.consumers.info> =>
    manager.consumers.info(entityStream(inventoryContract.name), consumer);
  const { num_ack_pending: inHand, num_pending: ahead } = await persist(`a look at ${consumer}`, ask, askWithinMs);
  return ahead + inHand === 0 ? [] : [`${ahead + inHand} events for ${consumer}`];
}

/** What was written down of commands stays for a while, as does what took the place of a schedule that was cancelled. */
async function waitingIn(manager: JetStreamManager, stream: string): Promise<string[]> {
  const subjects = await subjectsIn(manager, stream);
  const waits = subjects.map(async (subject) => {
    if (!/^queue\.(?:cmd|later)\./.test(subject)) return false;
    const last = await manager.streams.getMessage(stream, { last_by_subj: subject });
    return last !== null && last.data.length > 0;
  });
  const isWaiting = await Promise.all(waits);
  return subjects.filter((_, index) => isWaiting[index]);
}

async function subjectsIn(manager: JetStreamManager, stream: string): Promise<string[]> {
  const ask = (): ReturnType<typeof manager.streams.info> => manager.streams.info(stream, { subjects_filter: '>' });
  const { state } = await persist(`a look at ${stream}`, ask, askWithinMs);
  return Object.keys(state.subjects ?? {});
}
