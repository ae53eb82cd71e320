/** Makes inputs of a target's messages, and keeps those that lead to code which none before had led to. */
import fc from 'fast-check';
import type { Coverage } from './coverage.ts';
import { faultOf, type Fault } from './fault.ts';
import { joined, mutateBytes, splice } from './mutate-bytes.ts';
import { mutateJson } from './mutate-json.ts';
import { Random } from './random.ts';
import type { Target } from './target.ts';

export interface FuzzOptions {
  inputs: number;
  seed: number;
  /** Without it inputs are made of the seeds alone. */
  coverage?: Coverage | undefined;
  /** Told of each input before it is tried. */
  onInput?: (input: Uint8Array) => void;
  /** Told now and then how many inputs have been tried. */
  onProgress?: (inputs: number) => void;
}

export interface Finding {
  target: string;
  /** What was thrown, or how long it took. */
  what: string;
  input: Uint8Array;
}

export interface FuzzResult {
  target: string;
  inputs: number;
  /** Messages that others are made of, the seeds included. */
  corpus: number;
  /** Characters of our sources that were executed. */
  covered: number;
  findings: Finding[];
}

/** Inputs between two looks at the coverage. */
const BATCH = 64;
/** Of the inputs, at the beginning: what leads to new code is found soon, and looking for more costs more than it gives. */
const GUIDED_SHARE = 0.1;
const MOST_FINDINGS = 10;
/** An input that takes so long each time is one too many, in milliseconds. */
const SLOW_MS = 500;
/** What takes time in proportion to its length is no fault: the server lets a megabyte through, and a limit comes first. */
const SLOW_MS_PER_BYTE = 0.005;
const SLOW = `takes more than ${SLOW_MS} ms`;
/** Bytes of an input that is worth being made smaller. */
const MOST_TO_SHORTEN = 4_096;
const SAMPLES = 256;

export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzResult> {
  return new Fuzzer(target, options).run();
}

class Fuzzer {
  readonly #target: Target;
  readonly #options: FuzzOptions;
  readonly #random: Random;
  readonly #corpus: Uint8Array[];
  readonly #words: readonly Uint8Array[];
  /** By what is wrong, so that each is told once. */
  readonly #findings = new Map<string, Finding>();
  #samples: Uint8Array[] = [];
  #done = 0;

  constructor(target: Target, options: FuzzOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#corpus = target.seeds.map(bytesOf);
    this.#words = [...this.#corpus, ...(target.words ?? []).map(bytesOf)];
  }

  async run(): Promise<FuzzResult> {
    const { coverage, inputs, onProgress } = this.#options;
    for (const seed of this.#corpus) await this.#try(seed);
    coverage?.look().keep();
    while (this.#done < inputs && this.#findings.size < MOST_FINDINGS) {
      const batch = Array.from({ length: Math.min(BATCH, inputs - this.#done) }, () => this.#make());
      for (const input of batch) await this.#try(input);
      if (coverage !== undefined && this.#done < inputs * GUIDED_SHARE) await this.#learn(batch, coverage);
      onProgress?.(this.#done);
    }
    coverage?.look().keep();
    return {
      target: this.#target.name,
      inputs: this.#done,
      corpus: this.#corpus.length,
      covered: coverage?.characters ?? 0,
      findings: [...this.#findings.values()],
    };
  }

  /** Keeps those of the inputs just tried that led to new code. */
  async #learn(batch: readonly Uint8Array[], coverage: Coverage): Promise<void> {
    const look = coverage.look();
    if (look.news > 0) await this.#keepWhatIsNew(batch, coverage);
    // Also what none of them alone leads to.
    look.keep();
  }

  /** Finds the inputs that lead to new code, by halves. */
  async #keepWhatIsNew(inputs: readonly Uint8Array[], coverage: Coverage): Promise<void> {
    for (const input of inputs) await this.#execute(input);
    const look = coverage.look();
    if (look.news === 0) return;
    const [first] = inputs;
    if (inputs.length === 1 && first !== undefined) {
      this.#corpus.push(first);
      look.keep();
      return;
    }
    const middle = inputs.length >>> 1;
    await this.#keepWhatIsNew(inputs.slice(0, middle), coverage);
    await this.#keepWhatIsNew(inputs.slice(middle), coverage);
  }

  #make(): Uint8Array {
    const { arbitrary } = this.#target;
    const kind = this.#random.next();
    if (kind < 0.1 && arbitrary !== undefined) return this.#sample(arbitrary);
    const message = this.#random.of(this.#corpus);
    if (kind < 0.2) return splice(message, this.#random.of(this.#corpus), this.#random);
    const mutated = kind < 0.5 ? mutateJson(message, this.#random) : undefined;
    if (mutated !== undefined && this.#random.chance(0.9)) return mutated;
    return mutateBytes(mutated ?? message, this.#random, this.#words);
  }

  #sample(arbitrary: fc.Arbitrary<string | Uint8Array>): Uint8Array {
    if (this.#samples.length === 0) {
      const parameters = { numRuns: SAMPLES, seed: this.#random.below(2 ** 31) };
      this.#samples = fc.sample(arbitrary, parameters).map(bytesOf);
    }
    return this.#samples.pop() as Uint8Array;
  }

  async #try(input: Uint8Array): Promise<void> {
    this.#done++;
    this.#options.onInput?.(input);
    let fault = await this.#execute(input);
    if (fault === undefined || this.#findings.has(fault.key)) return;
    // Once may be the machine's fault.
    for (let again = 0; again < 2 && fault?.key === SLOW; again++) fault = await this.#execute(input);
    if (fault === undefined || this.#findings.has(fault.key)) return;
    const { key, what } = fault;
    this.#findings.set(key, { target: this.#target.name, what, input });
    // Each try would take as long.
    if (key === SLOW) return;
    const smallest = await this.#smallest(input, key);
    const shown = (await this.#execute(smallest)) ?? fault;
    this.#findings.set(key, { target: this.#target.name, what: shown.what, input: smallest });
  }

  /** What is wrong with an input, if anything is. */
  async #execute(input: Uint8Array): Promise<Fault | undefined> {
    const started = performance.now();
    try {
      // Most are synchronous: a turn of the event loop for each would cost more than the rest.
      const work = this.#target.run(input);
      if (work !== undefined) await work;
    } catch (error) {
      return faultOf(error);
    }
    return performance.now() - started > SLOW_MS + input.length * SLOW_MS_PER_BYTE
      ? { key: SLOW, what: SLOW }
      : undefined;
  }

  /** Takes out of an input what its fault does not need. */
  async #smallest(input: Uint8Array, key: string): Promise<Uint8Array> {
    let smallest = input;
    if (input.length > MOST_TO_SHORTEN) return input;
    for (let size = Math.ceil(input.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at + size <= smallest.length;) {
        const shorter = joined(smallest.subarray(0, at), smallest.subarray(at + size));
        if ((await this.#execute(shorter))?.key === key) smallest = shorter;
        else at += size;
      }
    }
    return smallest;
  }
}

const encoder = new TextEncoder();

function bytesOf(message: string | Uint8Array): Uint8Array {
  return typeof message === 'string' ? encoder.encode(message) : message;
}
