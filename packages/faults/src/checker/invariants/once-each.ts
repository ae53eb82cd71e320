/** I5: a command commits at most once; whoever asks again, with the same id, is told the first outcome. */
import type { Answer, Logged, Told } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Message } from '../records.ts';
import { sameJson } from '../same-json.ts';
import { differenceBetween } from './acknowledged-commits.ts';

/** An entity knows the ids of so many commands. */
const RECENT = 32;

export const onceEach: Invariant = {
  name: 'I5',
  create: ({ breach, limit }) => ({
    onPaired(message, { isOld, sent, messages }) {
      const { entity, entry } = message;
      const [first] = messages;
      if (messages.length < 2 || first === undefined) return;
      if (isOld && areApart(first, message)) {
        limit('a command of before a restoration was executed once more, after more than 32 others');
        return;
      }
      const as = ({ event, version }: Logged): string => `${event} at version ${version}`;
      const what = `${sent.commandId} was decided twice on ${nameOf(entity)}: ${as(first.entry)}, and ${as(entry)}`;
      breach(what, [sent, first.entry, entry]);
    },

    onSettled(told, { entity, entry }, { messages, sent }) {
      if (told.answer?.kind !== 'replayed' || messages.length > 1 || entry.kind === 'record') return;
      const wrong = differenceBetween(told.answer, entry);
      if (wrong === undefined) return;
      breach(`the replay of ${sent.commandId} on ${nameOf(entity)} has another ${wrong} than its commit`, [
        sent,
        entry,
        told,
      ]);
    },

    onTold(told, { askedAgainAtMs, entity, sent, told: answers }) {
      const first = answers.find((earlier) => earlier !== told && isSuccess(earlier.answer));
      if (first === undefined || told.answer === undefined || entity.mayBeginAnew) return;
      if (isSuccess(told.answer)) {
        if (sameOutcome(first, told)) return;
      } else if (askedAgainAtMs < first.atMs || told.answer.payload['code'] === 'decided_before') {
        // Both copies were under way at once: a known limit. Or its outcome is no longer kept.
        return;
      }
      breach(`${sent.commandId} on ${nameOf(entity)} was told two outcomes`, [sent, first, told]);
    },
  }),
};

/** What its entity has forgotten is known to the server, unless its log was restored: that forgets. */
function areApart(first: Message, message: Message): boolean {
  return message.index - first.index > RECENT;
}

function isSuccess(answer: Answer | undefined): boolean {
  return answer?.kind === 'committed' || answer?.kind === 'replayed';
}

function sameOutcome({ answer: one }: Told, { answer: other }: Told): boolean {
  return one?.event === other?.event && sameJson(one?.payload, other?.payload);
}
