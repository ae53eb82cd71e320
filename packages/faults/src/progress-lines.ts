import type { Recorder } from './recorder.ts';
import type { Planned } from './schedule/draw-schedule.ts';
import type { Tally } from './report/tally.ts';

export interface ProgressOptions {
  /** Milliseconds since the load began. */
  readonly now: () => number;
  readonly durationMs: number;
  readonly tally: Tally;
  readonly recorder: Recorder;
  readonly onLine: (line: string) => void;
}

/** Silence longer than this looks like a hang. */
const everyMs = 5_000;

/** Says every five seconds where a run is, and what goes wrong on purpose as it does. */
export class ProgressLines {
  readonly #options: ProgressOptions;
  readonly #active: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #answered = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tell(), everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  say(line: string): void {
    this.#options.onLine(`${seconds(this.#options.now())}  ${line}`);
  }

  injected({ fault: { name }, atMs, durationMs }: Planned, target: string): void {
    this.#active.push(name);
    const lateMs = this.#options.now() - atMs;
    const late = lateMs > everyMs ? ` (${seconds(lateMs)} late: the one before took longer to recover)` : '';
    const lasting = durationMs > 0 ? `, for ${seconds(durationMs)}` : '';
    this.say(`${name}: ${target}${lasting}${late}`);
  }

  healed(name: string): void {
    this.#active.splice(this.#active.indexOf(name), 1);
  }

  #tell(): void {
    const { durationMs, tally, recorder } = this.#options;
    const rate = Math.round(((tally.counts.answered - this.#answered) * 1000) / everyMs);
    this.#answered = tally.counts.answered;
    const active = this.#active.length === 0 ? 'no fault now' : `now: ${this.#active.join(', ')}`;
    const { length } = recorder.breaches;
    this.say(
      `of ${seconds(durationMs)}: ${tally.counts.answered} answers (${rate}/s), ${tally.counts.committed} commits, ` +
        `${tally.counts.unknown['timeout']} timeouts, ${active}, ${length} ${length === 1 ? 'breach' : 'breaches'}`,
    );
  }
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
