/**
 * The mark of an entity is the place in the queue of the last durable command that was decided on it. Each that is decided, by a
 * commit or the record of a refusal, raises it; nothing else moves it, and it never goes back. So none is decided twice, nor
 * behind a later one. The places themselves are those of the stream.
 */
import { isReaction } from '../../reactor/mirroring.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Message } from '../records.ts';

export const marks: Invariant = {
  name: 'marks',
  create: ({ breach }) => {
    const judge = ({ before, entity, entry, mark }: Message, isDurable: boolean): void => {
      const former = before?.mark ?? 0;
      if (isDurable ? mark > former : mark === former) return;
      const what = `${nameOf(entity)} has the mark ${mark} after ${entry.event} ${entry.commandId}, at version ${entry.version}`;
      breach(`${what}, expected ${isDurable ? 'more than' : 'still'} ${former}`, [before?.entry, entry]);
    };
    return {
      onLogged(message) {
        const { before, entry, mark } = message;
        if (isReaction(entry)) judge(message, true);
        // A dead letter moves it as well.
        else if (mark < (before?.mark ?? 0)) judge(message, false);
      },

      onPaired(message, { sent }) {
        judge(message, sent.durable !== undefined);
      },
    };
  },
};
