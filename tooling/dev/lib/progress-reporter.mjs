// Beside vitest's own reporter, which is silent while a file runs.
import { performance } from 'node:perf_hooks';

const everyMs = 30_000;

/** Says every half minute how many files are done. */
export default class ProgressReporter {
  #done = 0;
  #all = 0;
  #startedAt = performance.now();
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /** @param {readonly unknown[]} files */
  onTestRunStart(files) {
    this.#all = files.length;
    this.#timer = setInterval(() => this.#say(), everyMs);
  }

  onTestModuleEnd() {
    this.#done++;
  }

  onTestRunEnd() {
    clearInterval(this.#timer);
  }

  #say() {
    const minutes = ((performance.now() - this.#startedAt) / 60_000).toFixed(1);
    console.log(`… ${this.#done} of ${this.#all} test files done after ${minutes} min`);
  }
}
