// Fuzzes targets in a thread of its own, so that one which hangs can be ended.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { LENGTH_BYTES, type Word, type Work } from './work.ts';

const port = parentPort as MessagePort;
const { targets, seed, atHand } = workerData as Work;
const length = new Int32Array(atHand, 0, 1);
const bytes = new Uint8Array(atHand, LENGTH_BYTES);
const say = (word: Word): void => port.postMessage(word);

// What is loaded before is not seen.
const coverage = new Coverage();
const { fuzz } = await import('./fuzzer.ts');
const { TARGETS } = await import('./targets.ts');
for (const { target: name, inputs } of targets) {
  const target = TARGETS.find((one) => one.name === name);
  if (target === undefined) throw new Error(`there is no target ${name}`);
  coverage.forget();
  const result = await fuzz(target, {
    inputs,
    seed,
    coverage,
    onInput(input) {
      length[0] = Math.min(input.length, bytes.length);
      bytes.set(input.subarray(0, bytes.length));
    },
    onProgress: (done) => say({ kind: 'progress', target: name, inputs: done }),
  });
  say({ kind: 'done', result });
}
coverage.stop();
