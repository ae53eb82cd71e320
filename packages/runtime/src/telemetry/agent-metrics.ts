import type { StoreOutcome } from '../core/outcome.ts';
import type { PublishResult } from '../nats/jetstream-errors.ts';
import { harmless } from './harmless.ts';
import { registeredInstruments } from './instruments.ts';
import { ATTRIBUTES, UNKNOWN_ACTION } from './names.ts';

/** The metrics of one agent. Its actions and their outcomes are all that its attributes can be. */
export class AgentMetrics {
  readonly #agent: string;

  constructor(agent: string) {
    this.#agent = agent;
  }

  /** A command has its outcome. @param action undefined for one that the agent does not know */
  command(action: string | undefined, outcome: StoreOutcome['kind'], ms: number): void {
    const instruments = registeredInstruments();
    if (instruments === undefined) return;
    const attributes = {
      [ATTRIBUTES.agent]: this.#agent,
      [ATTRIBUTES.action]: action ?? UNKNOWN_ACTION,
      [ATTRIBUTES.outcome]: outcome,
    };
    harmless(() => {
      instruments.commands.add(1, attributes);
      instruments.commandDuration.record(ms / 1_000, attributes);
    });
  }

  /** A commit was published. @param action one of the agent's */
  publish(action: string, result: PublishResult['kind'], ms: number): void {
    const instruments = registeredInstruments();
    if (instruments === undefined) return;
    const attributes = { [ATTRIBUTES.agent]: this.#agent, [ATTRIBUTES.action]: action };
    harmless(() => {
      if (result === 'stored') instruments.commitDuration.record(ms / 1_000, attributes);
      // A duplicate is an answer: the command had been stored before.
      else if (result !== 'duplicate') instruments.commitRetries.add(1, { ...attributes, [ATTRIBUTES.reason]: result });
    });
  }
}
