import type { Entry, Told } from '../history.ts';
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
  /** Refusals by their codes. */
  readonly refusals: Counts = {};
  /** Commands that may wait: sent, answered, those of clients that left, and so on. */
  readonly waiters = { sent: 0, granted: 0, refused: 0, left: 0, unanswered: 0 };
  /** What became of durable commands before they were executed. */
  readonly queued = { stored: 0, cancelled: 0, kept: 0, unsure: 0 };
  readonly #waiting = new Set<string>();

  entry(entry: Entry): void {
    switch (entry.type) {
      case 'sent': {
        this.sent++;
        // Forgotten again below: commands under way are few.
        if (Number(entry.data['wait_ms'] ?? 0) > 0) {
          if (!this.#waiting.has(entry.commandId)) this.waiters.sent++;
          this.#waiting.add(entry.commandId);
        }
        this.#actions.set(entry.commandId, `${entry.agent}.${entry.action}`);
        break;
      }
      case 'told': {
        const action = this.#actions.get(entry.commandId) ?? 'second copies';
        this.#actions.delete(entry.commandId);
        const counts = (this.outcomes[action] ??= {});
        const kind = entry.answer?.kind ?? 'unknown';
        counts[kind] = (counts[kind] ?? 0) + 1;
        if (this.#waiting.delete(entry.commandId)) this.#waited(entry);
        if (entry.answer === undefined) break;
        const code = entry.answer.payload['code'];
        if (typeof code === 'string') this.refusals[code] = (this.refusals[code] ?? 0) + 1;
        this.answered++;
        if (entry.single) this.single++;
        if (kind === 'committed') this.committed++;
        break;
      }
      case 'queued': {
        this.queued[entry.as]++;
        break;
      }
      case 'logged': {
        this.logged++;
        if (entry.kind === 'expiry') this.expired++;
        break;
      }
      case 'heard': {
        this.heard++;
        break;
      }
      case 'disturbed':
      case 'taken':
        break;
    }
  }

  #waited({ answer, gone }: Told): void {
    if (gone === true) this.waiters.left++;
    else if (answer === undefined) this.waiters.unanswered++;
    else if (answer.kind === 'denied' || answer.kind === 'rejected') this.waiters.refused++;
    else this.waiters.granted++;
  }

  unknownOutcome(kind: 'unavailable' | 'timeout'): void {
    this.unknown[kind] = (this.unknown[kind] ?? 0) + 1;
  }
}
