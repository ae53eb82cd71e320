import { harmless } from './harmless.ts';
import { registeredInstruments } from './instruments.ts';
import { ATTRIBUTES } from './names.ts';

/** The metrics of one queue: of an agent's durable commands, or of a reaction. */
export class QueueMetrics {
  readonly #attributes: { [ATTRIBUTES.queue]: string };

  constructor(queue: string) {
    this.#attributes = { [ATTRIBUTES.queue]: queue };
  }

  /** A message has left the queue. @param lagMs since it was stored */
  left(how: 'done' | 'dead', lagMs: number, { inFlight, pending }: { inFlight: number; pending: number }): void {
    const instruments = registeredInstruments();
    if (instruments === undefined) return;
    harmless(() => {
      instruments.queueLag.record(Math.max(0, lagMs) / 1_000, { ...this.#attributes, [ATTRIBUTES.outcome]: how });
      instruments.queuePending.record(pending, this.#attributes);
      instruments.queueInFlight.record(inFlight, this.#attributes);
    });
  }

  /** A message is tried again. */
  retried(): void {
    const instruments = registeredInstruments();
    if (instruments === undefined) return;
    harmless(() => instruments.queueRetries.add(1, this.#attributes));
  }
}
