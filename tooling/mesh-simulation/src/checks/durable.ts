/** Durable commands: each once, in order, with a truthful outcome. */
import type { CommandRecord, HistoryRecord } from '../records.ts';
import type { DeadLetter, Logs, QueuedCommand } from './log-view.ts';

type Say = (breach: string) => void;

export function checkDurable(record: HistoryRecord, logs: Logs, say: Say): void {
  const byId = new Map(record.commands.map((command) => [command.id, command]));
  const letters = new Map<string, DeadLetter[]>();
  for (const letter of logs.letters) {
    const key = keyOf(letter.subject, letter.sequence);
    letters.set(key, [...(letters.get(key) ?? []), letter]);
  }
  const waiting = new Set(record.left.map(({ sequence, subject }) => keyOf(subject, sequence)));
  for (const queued of logs.queued) {
    const key = keyOf(`queue.cmd.${queued.agent}.${queued.entity}.${queued.action}`, queued.sequence);
    if (waiting.has(key) || queued.isSchedule) continue;
    const own = letters.get(key) ?? [];
    if (own.length > 1) say(`durable: ${nameOf(queued)} has ${own.length} dead letters`);
    checkOnce(queued, byId.get(queued.commandId), own, logs, say);
  }
  checkOrder(byId, logs, say);
  for (const command of record.commands) checkTold(command, logs, say);
}

function checkOnce(
  queued: QueuedCommand,
  command: CommandRecord | undefined,
  letters: readonly DeadLetter[],
  { commits, records, unchanged }: Logs,
  say: Say,
): void {
  const isCommitted = commits.has(queued.commandId) || unchanged.has(queued.commandId);
  const isRefused = records.has(queued.commandId);
  const isDead = letters.length > 0;
  const ends = [isCommitted && 'committed', isRefused && 'refused', isDead && 'dead'].filter((end) => end !== false);
  if (command?.cancelled === true) {
    // As a request it may be executed all the same.
    if (ends.length > 0 && !command.isRequested)
      say(`durable: ${nameOf(queued)} was cancelled, and is ${ends.join(' and ')}`);
    return;
  }
  if (queued.commandId === '') {
    if (!isDead) say(`durable: ${nameOf(queued)}, which is no command, has no dead letter`);
    return;
  }
  if (ends.length === 0) {
    // Who cancels may not have learned that it did.
    if (command?.afterMs === 0 || queued.scheduler === '')
      say(`durable: ${nameOf(queued)} is gone, and nothing came of it`);
  } else if (ends.length > 1) say(`durable: ${nameOf(queued)} is ${ends.join(' and ')}`);
}

/** Commands of one entity are decided in the order in which they were stored. */
function checkOrder(byId: ReadonlyMap<string, CommandRecord>, { entities, queued }: Logs, say: Say): void {
  const places = new Map<string, number[]>();
  for (const { commandId, sequence } of queued) places.set(commandId, [...(places.get(commandId) ?? []), sequence]);
  for (const { agent, entity, messages } of entities) {
    let last = 0;
    let lastId = '';
    for (const { commandId, kind } of messages) {
      const [place, ...others] = places.get(commandId) ?? [];
      const isRequested = byId.get(commandId)?.isRequested === true;
      if (place === undefined || others.length > 0 || isRequested || kind === 'expiry' || commandId === '') continue;
      if (place < last) say(`durable: ${agent} ${entity} has ${commandId} (${place}) after ${lastId} (${last})`);
      last = Math.max(last, place);
      lastId = commandId;
    }
  }
}

/** What was told at an inbox stays true. */
function checkTold(
  { agent, id, isRequested, told }: CommandRecord,
  { commits, letters, records }: Logs,
  say: Say,
): void {
  const kinds = new Set<string>();
  for (const { code, kind, via } of told) {
    if (via !== 'durable' || kind === 'failed') continue;
    kinds.add(kind === 'committed' ? kind : `${kind} ${code}`);
    if (kind === 'committed' || isRequested || agent === 'lock') continue;
    const isDead = letters.some(({ commandId }) => commandId === id);
    if (code !== 'cancelled' && !records.has(id) && !isDead)
      say(`durable: ${id} was told ${kind} ${code}, of which nothing stands in the log`);
    if (commits.has(id)) say(`durable: ${id} was told ${kind} ${code}, and is committed`);
  }
  if (kinds.size > 1) say(`durable: ${id} was told ${[...kinds].join(', and ')}`);
}

function keyOf(subject: string, sequence: number): string {
  return `${subject} ${sequence}`;
}

function nameOf({ commandId, entity, sequence }: QueuedCommand): string {
  return `${commandId === '' ? 'a command without an id' : commandId} (${sequence}, to ${entity})`;
}
