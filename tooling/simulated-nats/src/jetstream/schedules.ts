import type { Cancel, SimulatedTime } from '../time.ts';

/** Never sooner than this after a schedule was set, or after others fired, in milliseconds. */
const LEAST_MS = 250;
/** The server keeps times as 64-bit nanoseconds: a later one is taken for one long past. */
const LAST_MS = 9_223_372_036_854;

interface Schedule {
  sequence: number;
  at: number;
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** Milliseconds since the epoch; undefined for a pattern that is invalid. @throws TypeError for one that is not modelled */
export function scheduleTime(pattern: string): number | undefined {
  if (!pattern.startsWith('@at ')) {
    if (/^@|^[\d*]/.test(pattern)) throw new TypeError(`not modelled: the schedule ${pattern}`);
    return undefined;
  }
  const text = pattern.slice(4);
  const at = RFC3339.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) return undefined;
  return at > LAST_MS ? 0 : at;
}

/** The schedules of a stream: one for each subject. The server looks after them with one timer. */
export class Schedules {
  readonly #time: SimulatedTime;
  readonly #fire: (sequences: readonly number[]) => void;
  readonly #bySubject = new Map<string, Schedule>();
  readonly #subjects = new Map<number, string>();
  readonly #inFlight = new Set<string>();
  #deadline = 0;
  #heldUntil = 0;
  #isFiring = false;
  #cancel: Cancel = () => {};

  /** @param fire told what is due, in the order of the stream */
  constructor(time: SimulatedTime, fire: (sequences: readonly number[]) => void) {
    this.#time = time;
    this.#fire = fire;
  }

  set(sequence: number, subject: string, at: number): void {
    this.removeSubject(subject);
    this.#bySubject.set(subject, { sequence, at });
    this.#subjects.set(sequence, subject);
    this.#wait();
  }

  remove(sequence: number): void {
    const subject = this.#subjects.get(sequence);
    if (subject !== undefined) this.removeSubject(subject);
  }

  removeSubject(subject: string): void {
    const schedule = this.#bySubject.get(subject);
    if (schedule === undefined) return;
    this.#subjects.delete(schedule.sequence);
    this.#bySubject.delete(subject);
    this.#inFlight.delete(subject);
  }

  /** A new leader fires again what its predecessor fired and did not store. */
  changeLeader(): void {
    this.#inFlight.clear();
    this.#deadline = 0;
    this.#cancel();
    this.#wait();
  }

  /** Fires nothing for so long. */
  hold(ms: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#time.now + ms);
    this.#cancel();
    this.#deadline = 0;
    this.#wait();
  }

  stop(): void {
    this.#cancel();
    this.#bySubject.clear();
  }

  /** A timer that runs earlier stays. */
  #wait(): void {
    if (this.#isFiring) return;
    const next = Math.min(...[...this.#bySubject.values()].map(({ at }) => at));
    if (next === Infinity) return;
    const { now } = this.#time;
    const deadline = Math.max(next, now + LEAST_MS, this.#heldUntil);
    if (this.#deadline > 0 && deadline >= this.#deadline) return;
    this.#deadline = deadline;
    this.#cancel();
    this.#cancel = this.#time.at(deadline, () => this.#run());
  }

  #run(): void {
    const due: number[] = [];
    for (const [subject, { at, sequence }] of this.#bySubject) {
      if (at > this.#time.now || this.#inFlight.has(subject)) continue;
      this.#inFlight.add(subject);
      due.push(sequence);
    }
    this.#isFiring = true;
    this.#fire(due.sort((one, other) => one - other));
    this.#isFiring = false;
    this.#deadline = 0;
    this.#wait();
  }
}
