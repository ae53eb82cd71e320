import { Worker } from 'node:worker_threads';
import type { FuzzResult } from './fuzzer.ts';
import { LENGTH_BYTES, type Share, type Word, type Work } from './work.ts';

/** A target that says nothing for so long hangs, in milliseconds. */
const SILENCE_MS = 20_000;
/** Of an input that is kept for the case that it hangs. */
const KEPT_BYTES = 2_000_000;

export interface FuzzRun {
  targets: readonly Share[];
  seed: number;
  onProgress: (target: string, inputs: number) => void;
  onResult: (result: FuzzResult) => void;
}

/** Fuzzes targets one after another, in a thread. One that hangs is ended, and the input is a finding. */
export async function runFuzz({ targets, ...run }: FuzzRun): Promise<void> {
  for (let left = targets; left.length > 0;) {
    const done = await fuzzUntilOneHangs({ ...run, targets: left });
    left = left.slice(done);
  }
}

/** @returns how many targets are done with */
function fuzzUntilOneHangs({ targets, seed, onProgress, onResult }: FuzzRun): Promise<number> {
  const atHand = new SharedArrayBuffer(LENGTH_BYTES + KEPT_BYTES);
  const workerData: Work = { targets, seed, atHand };
  const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData });
  let done = 0;
  let inputs = 0;
  return new Promise((resolve, reject) => {
    const hang = (): void => {
      const [length = 0] = new Int32Array(atHand, 0, 1);
      const input = new Uint8Array(atHand, LENGTH_BYTES, length).slice();
      const { target } = targets[done] as Share;
      const finding = { target, what: `hangs for more than ${SILENCE_MS} ms`, input };
      onResult({ target, inputs, corpus: 0, covered: 0, findings: [finding] });
      void worker.terminate();
      resolve(done + 1);
    };
    const silence = setTimeout(hang, SILENCE_MS);
    worker.on('message', (word: Word) => {
      silence.refresh();
      if (word.kind === 'progress') {
        inputs = word.inputs;
        onProgress(word.target, inputs);
        return;
      }
      onResult(word.result);
      done++;
      inputs = 0;
      if (done < targets.length) return;
      clearTimeout(silence);
      resolve(done);
    });
    worker.once('error', (error) => {
      clearTimeout(silence);
      reject(error);
    });
  });
}
