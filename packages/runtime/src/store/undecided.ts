/** Answers to commands that could not be decided now; each changed nothing, and may be sent again. */
import { rejected, type Command } from '../core/decide.ts';
import { refusal, type StoreOutcome } from '../core/outcome.ts';

export function contended(command: Command, races: number): StoreOutcome {
  const reason = `other writers were first ${races} times: send it again`;
  return refusal('unavailable', rejected(command, 'contended', reason).payload);
}

export function unreachable(command: Command, why: string): StoreOutcome {
  const reason = `the entity store does not answer (${why}): send it again in a second`;
  return refusal('unavailable', rejected(command, 'unavailable', reason).payload);
}

export function notStored(command: Command, why: string): StoreOutcome {
  return refusal(
    'unavailable',
    rejected(command, 'unavailable', `the server did not store the command: ${why}`).payload,
  );
}
