/**
 * I2: a refused command is not in the log, nor will it ever be.
 *
 * That holds of each copy of a command. A client that sends it again after losing an answer may be told the refusal of one
 * copy while another commits; only where the refused version had passed for good is that a breach. A durable command is
 * stored once, however often it is sent.
 */
import type { Answer, Heard, Told } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Command, type Message } from '../records.ts';
import { isSignal } from './events-of-commits.ts';

export const refusedCommands: Invariant = {
  name: 'I2',
  create: ({ breach, ledger, limit, step }) => {
    /** What agents said of refusals, the first of each command. */
    const signals = new Map<string, Heard>();
    const leases: { told: Told; message: Message; command: Command }[] = [];
    const judge = (told: Told, { entity, entry, wipedBy }: Message, { sent }: Command): void => {
      if (wipedBy !== undefined) return;
      const what = `${sent.commandId} was told ${told.answer?.kind}, but is version ${entry.version} of ${nameOf(entity)}`;
      breach(what, [sent, entry, told]);
    };
    return {
      onHeard(heard) {
        if (isSignal(heard) && !signals.has(heard.commandId)) signals.set(heard.commandId, heard);
      },

      onSettled(told, message, command) {
        const { entity, entry } = message;
        const { sent } = command;
        const { answer } = told;
        if (answer === undefined || answer.kind === 'committed' || answer.kind === 'replayed') return;
        if (!told.single && !isStoredOnce(command) && !hasPassed(answer, sent.expectedVersion)) {
          limit('a copy of a command was refused and another one committed');
          return;
        }
        // A refresh that an expiry takes out is refused as well, and the expiry may be yet to come.
        if (entity.agent.leaseEvents.has(entry.event)) leases.push({ told, message, command });
        else judge(told, message, command);
      },

      finish() {
        for (const { told, message, command } of leases) judge(told, message, command);
        for (const [commandId, heard] of signals) {
          step();
          const command = ledger.command(commandId);
          const message = command?.messages[0];
          if (command === undefined || message === undefined || message.wipedBy !== undefined) continue;
          if (!command.single && !isStoredOnce(command)) continue;
          const { entity, entry } = message;
          const what = `${heard.event} was said of ${commandId}, which is version ${entry.version} of ${nameOf(entity)}`;
          breach(what, [command.sent, entry, heard]);
        }
      },
    };
  },
};

/** A durable command is not stored again while the server knows its id, and what is told of it stays true. */
function isStoredOnce({ sent }: Command): boolean {
  return sent.durable !== undefined;
}

/** Whether the version that a conflict names lies above the one that was expected, which can never come again. */
function hasPassed({ kind, payload }: Answer, expected: number | undefined): boolean {
  return kind === 'conflict' && expected !== undefined && expected > 0 && Number(payload['current_version']) > expected;
}
