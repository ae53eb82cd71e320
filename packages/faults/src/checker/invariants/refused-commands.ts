/**
 * I2: a refused command is not in the log, nor will it ever be. The refusal of a durable one is: what its sender is told, and what
 * everybody hears, is what the log has.
 *
 * That holds of each copy of a command. A client that sends it again after losing an answer may be told the refusal of one
 * copy while another commits; only where the refused version had passed for good is that a breach. A durable command is
 * stored once, however often it is sent.
 */
import type { Answer, Entry, Heard } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { lastToken, nameOf, type Command } from '../records.ts';
import { sameJson } from '../same-json.ts';
import { isSignal } from './events-of-commits.ts';

/** What is no decision: the command is tried again, or is none. */
const UNDECIDED: ReadonlySet<unknown> = new Set(['invalid_command', 'unknown_action', 'contended', 'unavailable']);

export const refusedCommands: Invariant = {
  name: 'I2',
  create: ({ breach, ledger, limit, step }) => {
    /** What agents said of refusals, the first of each command. */
    const signals = new Map<string, Heard>();
    const judge = (command: Command, refusal: Pick<Answer, 'payload' | 'kind'>, says: string, entry: Entry): void => {
      const [message] = command.messages;
      const { code } = refusal.payload;
      if (code === 'decided_before') return;
      if (message !== undefined && message.entry.kind !== 'record') {
        const { entity, entry: logged } = message;
        breach(`${says}, but is version ${logged.version} of ${nameOf(entity)}`, [command.sent, logged, entry]);
        return;
      }
      if (!isDurable(command) || UNDECIDED.has(code)) return;
      if (code === 'cancelled') {
        // It only moves the mark.
        if (command.queued.every(({ as }) => as === 'stored')) breach(`${says}, and nobody did`, [command.sent, entry]);
        return;
      }
      const logged = message?.entry;
      if (logged === undefined) {
        breach(`${says}, and the log has no record of it`, [command.sent, entry]);
      } else if (logged.refusal?.kind !== refusal.kind || !sameJson(logged.refusal.payload, refusal.payload)) {
        breach(`${says}, which is not the refusal that the log has`, [command.sent, logged, entry]);
      }
    };
    return {
      onHeard(heard) {
        if (isSignal(heard) && !signals.has(heard.commandId)) signals.set(heard.commandId, heard);
      },

      onSettled(told, { entry }, command) {
        const { answer } = told;
        if (answer === undefined || isSuccess(answer) || entry.kind === 'record') return;
        if (!told.single && !isDurable(command) && !hasPassed(answer, command.sent.expectedVersion)) {
          limit('a copy of a command was refused and another one committed');
          return;
        }
        judge(command, answer, `${command.sent.commandId} was told ${answer.kind}`, told);
      },

      finish() {
        for (const command of ledger.commands) {
          step();
          const { isOld, messages, sent, single } = command;
          const isCommitted = messages.some(({ entry }) => entry.kind !== 'record');
          if (isOld || (!isDurable(command) && !single)) continue;
          for (const told of isDurable(command) && !isCommitted ? command.told : []) {
            const { answer } = told;
            if (answer === undefined || isSuccess(answer)) continue;
            judge(command, answer, `${sent.commandId} was told ${answer.kind}`, told);
          }
          const heard = signals.get(sent.commandId);
          if (heard === undefined || (!isDurable(command) && messages.length === 0)) continue;
          const kind = lastToken(heard.event) as Answer['kind'];
          judge(command, { kind, payload: heard.payload }, `${sent.commandId} was said to be ${kind}`, heard);
        }
      },
    };
  },
};

function isSuccess({ kind }: Answer): boolean {
  return kind === 'committed' || kind === 'replayed';
}

function isDurable({ sent }: Command): boolean {
  return sent.durable !== undefined;
}

/** Whether the version that a conflict names lies above the one that was expected, which can never come again. */
function hasPassed({ kind, payload }: Answer, expected: number | undefined): boolean {
  return kind === 'conflict' && expected !== undefined && expected > 0 && Number(payload['current_version']) > expected;
}
