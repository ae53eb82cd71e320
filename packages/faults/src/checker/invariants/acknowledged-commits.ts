/** I2: an acknowledged command is in the log, with the event, version, state and data that its client was told. */
import type { Answer, Logged } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { lastToken, messageAbove, nameOf } from '../records.ts';
import { sameJson } from '../same-json.ts';

export const acknowledgedCommits: Invariant = {
  name: 'I2',
  create: ({ breach, ledger, step }) => ({
    onSettled(told, { entity, entry }, { sent }) {
      const { kind } = told.answer ?? {};
      // A replay that differs is a breach of I5.
      if (told.answer === undefined || (kind !== 'committed' && !(kind === 'replayed' && entry.kind === 'record')))
        return;
      const wrong = differenceBetween(told.answer, entry);
      if (wrong !== undefined) {
        breach(`${sent.commandId} on ${nameOf(entity)} was told another ${wrong} than the log has`, [
          sent,
          entry,
          told,
        ]);
      }
    },

    finish() {
      for (const { entity, sent, told, messages } of ledger.commands) {
        step();
        if (messages.length > 0) continue;
        const acknowledged = told.find(({ answer }) => answer?.kind === 'committed' || answer?.kind === 'replayed');
        const { answer } = acknowledged ?? {};
        if (answer === undefined) continue;
        const version = Number(answer.payload['entity_version']);
        const event = lastToken(answer.event);
        if (ledger.rolledUpBy(sent.agent, sent.entityId, event, version) !== undefined) continue;
        // That version by another command, or where the log ends.
        const instead = messageAbove(entity, version) ?? entity.messages.at(-1);
        const what = `${sent.commandId} was told ${answer.kind}, version ${version} of ${nameOf(entity)}`;
        breach(`${what}, but is not in the log`, [sent, acknowledged, instead?.entry]);
      }
    },
  }),
};

/** What of an answer is not as the log has it. */
export function differenceBetween({ event, payload }: Answer, entry: Logged): string | undefined {
  if (lastToken(event) !== entry.event) return 'event';
  if (payload['entity_id'] !== entry.entityId) return 'entity';
  if (payload['entity_version'] !== entry.version) return 'version';
  if (!sameJson(payload['state'], entry.state)) return 'state';
  return sameJson(payload['data'], entry.data) ? undefined : 'data';
}
