/**
 * Whoever waits for a lock is answered: once, not before the wait is over unless there is something to tell, and soon after
 * it. A wait that is cancelled was cancelled by somebody, and a place in the queue is that of a command that waits.
 *
 * Answers are at most once, so nothing is said of a client whose own ways were disturbed, nor of a time in which servers
 * were; time in which agents were disturbed does not count. Who sends one copy gets no answer from a replica that ends; who sends
 * more does, from another one.
 */
import type { Told } from '../../history.ts';
import { Disturbances } from '../disturbances.ts';
import type { Invariant } from '../invariant.ts';
import { waitMsOf } from '../queue.ts';
import { firstIndex, nameOf, type Command, type Message } from '../records.ts';

/** From the end of a wait to its answer, with nothing disturbed. Agents look for waits that are over every few seconds. */
const ANSWERED_WITHIN_MS = 10_000;
/** By how much an agent may err about the server's clock. */
const CLOCK_ERROR_MS = 2_000;

export const waiters: Invariant = {
  name: 'waiters',
  create: ({ breach, ledger, step }) => {
    const disturbances = new Disturbances();
    const places: Message[] = [];
    const tellings: { told: Told; command: Command }[] = [];
    /** By entity and owner, in the order in which they were sent or logged. */
    const commands = new Map<string, Command[]>();
    const cancels = new Map<string, Message[]>();

    const judgePlace = ({ entity, entry }: Message): void => {
      const { causedBy = '', data } = entry;
      const command = ledger.command(causedBy);
      const isIts = command?.entity === entity && command.sent.data['owner_id'] === data?.['owner_id'];
      if (isIts && waitMsOf(command.sent) > 0) return;
      const what = `${String(data?.['owner_id'])} waits for ${nameOf(entity)} for the sake of command ${causedBy}`;
      breach(`${what}, which does not`, [command?.sent, entry]);
    };

    const isCancelled = (told: Told, { entity, sent }: Command): boolean => {
      const key = keyOf(nameOf(entity), sent.data['owner_id']);
      const asked = commands.get(key) ?? [];
      const own = firstIndex(asked, (command) => command.sent.atMs >= sent.atMs);
      const others = [asked[own - 1], asked[own + 1]];
      if (others.some((other) => other !== undefined && other.sent.atMs < told.atMs)) return true;
      return (cancels.get(key) ?? []).some(({ command: cancel }) => {
        step();
        const known = cancel?.told.at(-1)?.atMs ?? Number.POSITIVE_INFINITY;
        return cancel !== undefined && cancel.sent.atMs < told.atMs && known > sent.atMs;
      });
    };

    const judgeTimes = (told: Told, command: Command, place: Message): void => {
      const { sent } = command;
      const endMs = sent.atMs + waitMsOf(sent);
      const name = `${sent.commandId}, which waited for ${nameOf(command.entity)} for ${waitMsOf(sent)} ms,`;
      const code = told.answer?.payload['code'];
      if (code === 'held' && told.atMs < endMs - CLOCK_ERROR_MS) {
        breach(`${name} was told "held" ${Math.round(endMs - told.atMs)} ms too early`, [sent, place.entry, told]);
      }
      if (disturbances.mayLose(sent.client, sent.atMs, told.atMs)) return;
      if (told.single && disturbances.mayForget(sent.agent, sent.atMs, told.atMs)) return;
      const quietMs = disturbances.quietMs(endMs, told.atMs);
      if (quietMs <= ANSWERED_WITHIN_MS) return;
      const answer = told.answer === undefined ? 'no answer' : 'its answer only';
      breach(`${name} had ${answer} ${Math.round(quietMs)} quiet ms after that`, [sent, place.entry, told]);
    };

    return {
      onSent(command) {
        if (waitMsOf(command.sent) > 0)
          push(commands, keyOf(nameOf(command.entity), command.sent.data['owner_id']), command);
      },

      onTold(told, command) {
        if (waitMsOf(command.sent) > 0) tellings.push({ told, command });
      },

      onLogged(message) {
        const { entity, entry } = message;
        if (entry.event === 'queued') places.push(message);
        if (entry.event === 'cancelled') push(cancels, keyOf(nameOf(entity), entry.data?.['owner_id']), message);
      },

      onDisturbed(disturbed) {
        disturbances.add(disturbed);
      },

      finish() {
        const placeOf = new Map(places.map((place) => [place.entry.causedBy, place]));
        for (const place of places) if (!place.entity.isOver) judgePlace(place);
        const answers = new Map<Command, Told>();
        for (const { told, command } of tellings) {
          step();
          const { entity, sent } = command;
          if (entity.isOver) continue;
          if (told.answer?.payload['code'] === 'cancelled' && !isCancelled(told, command)) {
            breach(`${sent.commandId} was told that its wait was cancelled, and nobody did`, [sent, told]);
          }
          if (told.gone === true) continue;
          const place = placeOf.get(sent.commandId);
          const first = answers.get(command);
          if (first === undefined && place !== undefined) judgeTimes(told, command, place);
          if (told.answer === undefined || !told.single) continue;
          answers.set(command, told);
          const isQuiet = first !== undefined && disturbances.quietMs(sent.atMs, told.atMs) === told.atMs - sent.atMs;
          if (!isQuiet || disturbances.mayLose(sent.client, sent.atMs, told.atMs)) continue;
          breach(`${sent.commandId} was answered twice, with nothing disturbed`, [sent, first, told]);
        }
      },
    };
  },
};

function keyOf(entity: string, owner: unknown): string {
  return `${String(owner)} ${entity}`;
}

function push<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}
