import { pino, type Logger } from 'pino';

/**
 * A log of JSON lines on standard output, each written at once. Where nobody reads it any more, what cannot be written is
 * dropped: it must not hold up the end of the process.
 */
export function processLogger(name: string, level?: string): Logger {
  const destination = pino.destination({ fd: 1, sync: true });
  // There is nothing to flush, but at the exit the library would try for ever what a closed pipe does not take.
  destination.flushSync = () => {};
  destination.on('error', () => {
    destination.write = () => true;
  });
  return pino(level === undefined ? { name } : { name, level }, destination);
}
