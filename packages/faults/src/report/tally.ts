import type { Entry } from '../history.ts';
import type { Listener } from '../recorder.ts';

type Counts = Record<string, number>;

/** Counts what was sent and what came of it. */
export class Tally implements Listener {
  readonly #actions = new Map<string, string>();
  /** By agent and action, by outcome. */
  readonly outcomes: Record<string, Counts> = {};
  readonly unknown: Counts = { timeout: 0, unavailable: 0 };
  sent = 0;
  answered = 0;
  /** Sent once and no more, and told. */
  single = 0;
  committed = 0;
  logged = 0;
  heard = 0;
  expired = 0;

  entry(entry: Entry): void {
    switch (entry.type) {
      case 'sent': {
        this.sent++;
        // Forgotten again below: commands under way are few.
        this.#actions.set(entry.commandId, `${entry.agent}.${entry.action}`);
        break;
      }
      case 'told': {
        const action = this.#actions.get(entry.commandId) ?? 'second copies';
        this.#actions.delete(entry.commandId);
        const counts = (this.outcomes[action] ??= {});
        const kind = entry.answer?.kind ?? 'unknown';
        counts[kind] = (counts[kind] ?? 0) + 1;
        if (entry.answer === undefined) break;
        this.answered++;
        if (entry.single) this.single++;
        if (kind === 'committed') this.committed++;
        break;
      }
      case 'logged': {
        this.logged++;
        if (entry.byServer) this.expired++;
        break;
      }
      case 'heard': {
        this.heard++;
        break;
      }
    }
  }

  unknownOutcome(kind: 'unavailable' | 'timeout'): void {
    this.unknown[kind] = (this.unknown[kind] ?? 0) + 1;
  }
}
