import { performance } from 'node:perf_hooks';

const firstAfterMs = 2_000;
const againEveryMs = 10_000;
const redrawEveryMs = 500;
/** Back to the start of the line, and everything behind it away. */
const clearLine = '\r\u001B[K';

/**
 * Tells a person what is going on: one line for each step, and on a terminal that line moves while the step runs.
 *
 * @typedef {import('../src/narrator.ts').Narrator} Narrator
 */

/**
 * @param {{ write?: (text: string) => void, isTerminal?: boolean, columns?: number, verbose?: boolean }} [options]
 * @returns {Narrator}
 */
export function narrate({
  write = (text) => void process.stdout.write(text),
  isTerminal = process.stdout.isTTY,
  columns = process.stdout.columns || 80,
  verbose = false,
} = {}) {
  let live = '';
  const draw = () => {
    if (live !== '') write(clearLine + live.slice(0, columns - 1));
  };
  const say = (/** @type {string} */ line) => {
    write(`${live === '' ? '' : clearLine}${line}\n`);
    draw();
  };

  return {
    say,
    detail: (line) => {
      if (verbose) say(line);
    },
    async step(title, work, describe = () => title) {
      const startedAt = performance.now();
      const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1);
      let progress = '';
      const running = () => `… ${title}${progress === '' ? '' : `: ${progress}`} (${seconds()} s so far)`;
      const redraw = () => {
        live = running();
        draw();
      };
      if (isTerminal) redraw();
      const tell = () => {
        if (isTerminal) redraw();
        else say(running());
        timer = setTimeout(tell, isTerminal ? redrawEveryMs : againEveryMs);
      };
      let timer = setTimeout(tell, isTerminal ? redrawEveryMs : firstAfterMs);
      const end = (/** @type {string} */ line) => {
        clearTimeout(timer);
        if (live !== '') write(clearLine);
        live = '';
        say(line);
      };
      try {
        const result = await work((text) => (progress = text));
        end(`✓ ${describe(result)} (${seconds()} s)`);
        return result;
      } catch (error) {
        end(`✗ ${title} (${seconds()} s)`);
        throw error;
      }
    },
  };
}
