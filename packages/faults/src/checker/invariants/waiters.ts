/**
 * Whoever waits for a lock is answered: once, not before the wait is over unless there is something to tell, and soon after
 * it. A place is that of a command that waits.
 *
 * Answers are at most once, so nothing is said of a client whose own ways were disturbed, nor of a time in which servers
 * were; time in which agents were disturbed does not count. Who sends one copy gets no answer from a replica that ends; who sends
 * more does, from another one.
 */
import type { Told } from '../../history.ts';
import { Disturbances } from '../disturbances.ts';
import type { Invariant } from '../invariant.ts';
import { waitMsOf } from '../queue.ts';
import { nameOf, type Command, type Message } from '../records.ts';

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

    const judgePlace = ({ entity, entry }: Message): void => {
      const { causedBy = '', data } = entry;
      const command = ledger.command(causedBy);
      const isIts = command?.entity === entity && command.sent.data['owner_id'] === data?.['owner_id'];
      if (isIts && waitMsOf(command.sent) > 0) return;
      const what = `${String(data?.['owner_id'])} waits for ${nameOf(entity)} for the sake of command ${causedBy}`;
      breach(`${what}, which does not`, [command?.sent, entry]);
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
      onTold(told, command) {
        if (waitMsOf(command.sent) > 0) tellings.push({ told, command });
      },

      onLogged(message) {
        if (message.entry.event === 'queued') places.push(message);
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
          if (entity.isOver || told.gone === true) continue;
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
