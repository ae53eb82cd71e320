// From the outside world's "stop" to an AbortSignal.
import { performance } from 'node:perf_hooks';

/** Ctrl-C under npm arrives twice: from the terminal and, forwarded, from npm. Only a later one means impatience. */
const echoMs = 1_000;
const parentCheckMs = 200;

/**
 * Aborts on SIGINT, SIGTERM, SIGHUP, when nobody reads the output any more, and when the npm that started this process is
 * gone. Another signal after a second ends the process at once, with `impatientCode`.
 *
 * @param {{ impatientCode: number }} options
 */
export function onStop({ impatientCode }) {
  const controller = new AbortController();
  let firstAt = 0;
  const stop = () => {
    if (controller.signal.aborted) {
      if (performance.now() - firstAt > echoMs) process.exit(impatientCode);
      return;
    }
    firstAt = performance.now();
    controller.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop);
  // Nobody reads any more: the terminal is gone, or the process behind the pipe.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => controller.abort());
  if (process.env['npm_lifecycle_event'] !== undefined) {
    const parent = process.ppid;
    const check = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(check);
      stop();
    }, parentCheckMs);
    check.unref();
  }
  return controller.signal;
}
