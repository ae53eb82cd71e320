import { Session, type Profiler } from 'node:inspector';

/** Of the sources that are fuzzed, wherever the repository lies. */
const OUR_SOURCE = /\/packages\/(?:protocol|runtime)\/src\//;

/** What was executed since the look before. */
export interface Look {
  /** Characters that were not known to be executed until now. */
  readonly news: number;
  /** From now on they are known. */
  keep(): void;
}

/**
 * Which characters of our sources have been executed, as V8 counts it. What was loaded before it began is not seen.
 *
 * A look costs a millisecond or two, so it is made for many inputs together.
 */
export class Coverage {
  readonly #session = new Session();
  /** By function: 1 where a character of it is known to be executed. */
  readonly #known = new Map<string, Uint8Array>();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Characters known to be executed. */
  get characters(): number {
    let sum = 0;
    for (const known of this.#known.values()) for (const one of known) sum += one;
    return sum;
  }

  look(): Look {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    const executed = new Map<string, Uint8Array>();
    for (const { url, functions } of result) {
      if (!OUR_SOURCE.test(url)) continue;
      for (const { ranges } of functions) {
        const characters = charactersOf(ranges);
        if (characters !== undefined) executed.set(`${url} ${ranges[0]?.startOffset}`, characters);
      }
    }
    let news = 0;
    for (const [place, characters] of executed) news += this.#newsOf(place, characters);
    return {
      news,
      keep: () => {
        for (const [place, characters] of executed) this.#keep(place, characters);
      },
    };
  }

  /** Begins anew: nothing is known. */
  forget(): void {
    this.look();
    this.#known.clear();
  }

  stop(): void {
    this.#session.disconnect();
  }

  #newsOf(place: string, executed: Uint8Array): number {
    const known = this.#known.get(place);
    let news = 0;
    for (let i = 0; i < executed.length; i++) if (executed[i] === 1 && known?.[i] !== 1) news++;
    return news;
  }

  #keep(place: string, executed: Uint8Array): void {
    const known = this.#known.get(place);
    if (known === undefined) this.#known.set(place, executed);
    else for (let i = 0; i < executed.length; i++) known[i] = (known[i] ?? 0) | (executed[i] ?? 0);
  }

  /** The inspector of one's own thread answers at once. */
  #post(method: string, parameters: object = {}): unknown {
    let answer: unknown;
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }
}

/** 1 for each character of a function that was executed; undefined if it was not called, or is the module itself. */
function charactersOf(ranges: readonly Profiler.CoverageRange[]): Uint8Array | undefined {
  const [whole] = ranges;
  if (whole === undefined || whole.count === 0 || whole.startOffset === 0) return undefined;
  const { startOffset: start, endOffset: end } = whole;
  const executed = new Uint8Array(end - start);
  // Inner ranges follow the outer ones.
  for (const range of ranges)
    executed.fill(range.count > 0 ? 1 : 0, range.startOffset - start, range.endOffset - start);
  return executed;
}
