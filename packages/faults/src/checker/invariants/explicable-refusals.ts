/**
 * A refusal tells the truth about its entity as it was at some moment between the command's sending and its answer: a
 * conflict names the version that it had then, and any other refusal is what the rules say of the state that it had.
 *
 * Clients' times and the server's do not compare. What bounds the moment is the log: it is not before the highest version
 * that anybody had been told of when the command was sent, and before the first commit that was sent after the answer.
 */
import { REJECTION_CODES, type JsonObject } from '@meshforge/protocol';
import type { Answer, Sent, Told } from '../../history.ts';
import type { Desk, Invariant, Watcher } from '../invariant.ts';
import { firstIndex, lastMissing, nameOf, type Command, type Entity, type Message } from '../records.ts';
import { keyOfCommand, waitMsOf } from '../queue.ts';
import { isSaid, NOTHING, ruling } from '../ruling.ts';

/** By how much an agent may err about the server's clock. */
const CLOCK_ERROR_MS = 2_000;

/** A refusal that no state has explained yet. */
interface Open {
  told: Told;
  answer: Answer;
  command: Command;
  /** Index of the next message of its entity to look at. */
  next: number;
}

/** About the command, the moment or its lease, and not about the entity. */
const NOT_OF_THE_ENTITY: ReadonlySet<unknown> = new Set([
  ...REJECTION_CODES.filter((code) => code !== 'not_found' && code !== 'already_exists'),
  'decided_before',
]);

export const explicableRefusals: Invariant = {
  name: 'explicable-refusals',
  create: (desk) => watcher(desk),
};

function watcher({ breach, step }: Desk): Watcher {
  const open = new Map<Entity, Open[]>();

  const fail = ({ answer, command, told }: Open, last: Message | undefined): void => {
    const { entity, landmark, sent } = command;
    const { payload } = answer;
    if (entity.isOver || entity.mayBeginAnew) return;
    const says =
      answer.kind === 'conflict'
        ? `version ${String(payload['current_version'])} of ${nameOf(entity)}`
        : `${String(payload['code'])} of ${nameOf(entity)}`;
    const from = landmark?.version ?? 0;
    const to = last?.version ?? 0;
    const what = `${sent.commandId} was told ${answer.kind}, ${says}, which no state explains from version ${from} to ${to}`;
    breach(what, [landmark?.told, sent, last?.entry, told]);
  };

  /** Looks at what the log has had since; true when nothing more has to be looked at. */
  const isOver = (refusal: Open): boolean => {
    const { answer, command, told } = refusal;
    const { entity, landmark } = command;
    const from = landmark?.version ?? 0;
    const { messages } = entity;
    if (refusal.next === 0 && from === 0 && explains(refusal, undefined, messages[0])) return true;
    for (let message = messages[refusal.next]; message !== undefined; message = messages[refusal.next]) {
      step();
      if (isHidden(message, from, answer)) return true;
      if ((message.command?.sent.atMs ?? 0) > told.atMs) {
        fail(refusal, messages[refusal.next - 1]);
        return true;
      }
      refusal.next++;
      if (message.version >= from && explains(refusal, message, messages[refusal.next])) return true;
    }
    return false;
  };

  return {
    onTold(told, command) {
      const { answer } = told;
      if (answer === undefined || answer.kind === 'committed' || answer.kind === 'replayed') return;
      const { entity, landmark, sent } = command;
      const { code } = answer.payload;
      if (NOT_OF_THE_ENTITY.has(code) || (code === 'cancelled' && sent.durable !== undefined)) return;
      if (answer.kind === 'conflict' && answer.payload['expected_version'] !== sent.expectedVersion) {
        const { expectedVersion: expected = 'none' } = sent;
        const what = `${sent.commandId} expected version ${expected} of ${nameOf(entity)}`;
        breach(`${what}, but was told of ${String(answer.payload['expected_version'])}`, [sent, told]);
        return;
      }
      const from = landmark?.version ?? 0;
      const next = from === 0 ? 0 : firstIndex(entity.messages, (message) => message.version >= from);
      const refusal = { told, answer, command, next };
      if (!isOver(refusal)) open.set(entity, [...(open.get(entity) ?? []), refusal]);
    },

    onLogged({ entity }) {
      const waiting = open.get(entity);
      if (waiting === undefined) return;
      const still = waiting.filter((refusal) => !isOver(refusal));
      if (still.length === 0) open.delete(entity);
      else open.set(entity, still);
    },

    finish() {
      for (const [entity, refusals] of open) {
        for (const refusal of refusals) fail(refusal, entity.messages.at(-1));
      }
    },
  };
}

/** Whether the log no longer has what could explain the refusal: lease commits that a later one rolled up. */
function isHidden(message: Message, from: number, { kind, payload }: Answer): boolean {
  const last = lastMissing(message);
  if (message.missing === 0 || last < from) return false;
  if (kind !== 'conflict') return true;
  const version = Number(payload['current_version']);
  return version <= last && version > last - message.missing;
}

/** @param at the message that made the state; undefined: before the first @param next the message that ended it */
function explains({ answer, command }: Open, at: Message | undefined, next: Message | undefined): boolean {
  const { sent, entity } = command;
  const entityAt = at ?? NOTHING;
  const { notes, state, version } = entityAt;
  const { payload } = answer;
  if (answer.kind === 'conflict') return payload['current_version'] === (state === null ? 0 : version);
  const { agent } = entity;
  const from = at?.timeMs ?? 0;
  const until = (next?.timeMs ?? Number.POSITIVE_INFINITY) + CLOCK_ERROR_MS;
  const points = agent.turningPoints(state, notes).filter((ms) => ms <= until);
  // An agent's clock that is behind has not come so far.
  const before = points.filter((ms) => ms <= from && ms > from - CLOCK_ERROR_MS).map((ms) => ms - 1);
  return [from, ...before, ...points].some((now) => {
    if (isSaid(payload, ruling(agent.agent, entityAt, sent, now))) return true;
    return waitMsOf(sent) > 0 && isSaid(payload, ruling(agent.agent, entityAt, decidedAgain(sent, payload), now));
  });
}

/** A command that has waited is told what becomes of it without a place. */
function decidedAgain(sent: Sent, { code }: JsonObject): Sent {
  const { wait_ms: _waitMs, ...data } = sent.data;
  const otherwise = code === 'queue_full' ? code : 'held';
  return { ...sent, action: 'grant', data: { ...data, command: keyOfCommand(sent.commandId), otherwise } };
}
