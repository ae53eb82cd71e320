import { performance } from 'node:perf_hooks';

const firstAfterMs = 2_000;
const againEveryMs = 5_000;

/**
 * Tells a person what is going on, line by line.
 *
 * @typedef {import('../src/narrator.ts').Narrator} Narrator
 */

/**
 * @param {(line: string) => void} [write]
 * @returns {Narrator}
 */
export function narrate(write = (line) => void process.stdout.write(`${line}\n`)) {
  return {
    say: write,
    /** Says what begins, once it takes more than two seconds that it still runs, and how long it took. */
    async step(title, work) {
      const startedAt = performance.now();
      const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1);
      write(`· ${title}`);
      const tell = () => {
        write(`  … ${title} (${seconds()} s so far)`);
        timer = setTimeout(tell, againEveryMs);
      };
      let timer = setTimeout(tell, firstAfterMs);
      try {
        const result = await work();
        write(`  done in ${seconds()} s`);
        return result;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
