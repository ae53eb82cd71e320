import type { Entry, Told } from '../history.ts';
import type { Listener } from '../recorder.ts';

type ByName = Record<string, number>;

function noCounts() {
  return {
    sent: 0,
    answered: 0,
    /** Sent once and no more, and answered. */
    single: 0,
    committed: 0,
    /** Without a definite answer, by reason. */
    unknown: { timeout: 0, unavailable: 0 } as ByName,
    /** By agent and action, by outcome. */
    outcomes: {} as Record<string, ByName>,
    /** By their codes. */
    refusals: {} as ByName,
    /** Commands that might wait for a lock, by what came of them. */
    waiters: { sent: 0, granted: 0, refused: 0, left: 0, unanswered: 0 },
    /** Durable commands, by what became of them before they were executed. */
    queued: { stored: 0, cancelled: 0, kept: 0, unsure: 0 },
    logged: 0,
    heard: 0,
    /** Leases that ended by themselves. */
    expired: 0,
  };
}

export type Counts = ReturnType<typeof noCounts>;

/** Counts what was sent and what came of it. */
export class Tally implements Listener {
  readonly counts = noCounts();
  readonly #actions = new Map<string, string>();
  readonly #waiting = new Set<string>();

  entry(entry: Entry): void {
    const { counts } = this;
    switch (entry.type) {
      case 'sent':
        counts.sent++;
        // Forgotten again below: commands under way are few.
        if (Number(entry.data['wait_ms'] ?? 0) > 0) {
          if (!this.#waiting.has(entry.commandId)) counts.waiters.sent++;
          this.#waiting.add(entry.commandId);
        }
        this.#actions.set(entry.commandId, `${entry.agent}.${entry.action}`);
        break;
      case 'told':
        this.#told(entry);
        break;
      case 'queued':
        counts.queued[entry.as]++;
        break;
      case 'logged':
        counts.logged++;
        if (entry.kind === 'expiry') counts.expired++;
        break;
      case 'heard':
        counts.heard++;
        break;
      case 'disturbed':
      case 'taken':
        break;
    }
  }

  unknownOutcome(kind: 'unavailable' | 'timeout'): void {
    addTo(this.counts.unknown, kind);
  }

  #told({ answer, commandId, gone, single }: Told): void {
    const { counts } = this;
    const kind = answer?.kind ?? 'unknown';
    addTo((counts.outcomes[this.#actions.get(commandId) ?? 'second copies'] ??= {}), kind);
    this.#actions.delete(commandId);
    if (this.#waiting.delete(commandId)) {
      const isRefused = kind === 'denied' || kind === 'rejected';
      counts.waiters[gone ? 'left' : kind === 'unknown' ? 'unanswered' : isRefused ? 'refused' : 'granted']++;
    }
    if (answer === undefined) return;
    const code = answer.payload['code'];
    if (typeof code === 'string') addTo(counts.refusals, code);
    counts.answered++;
    if (single) counts.single++;
    if (kind === 'committed') counts.committed++;
  }
}

function addTo(counts: ByName, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
