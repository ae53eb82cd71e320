/** Receives one line of plain text, without a line break, about work that takes long. */
export type OnProgress = (line: string) => void;

const firstAfterMs = 2_000;
const againEveryMs = 5_000;

/** Awaits `work` and tells what is going on once it takes more than two seconds, then every five. */
export async function tellWhileSlow<T>(onProgress: OnProgress, line: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const tell = (): void => {
    onProgress(`${line} (${Math.round((performance.now() - startedAt) / 1000)} s so far)`);
    timer = setTimeout(tell, againEveryMs);
  };
  let timer = setTimeout(tell, firstAfterMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** The default: nobody listens. */
export function tellNobody(): void {}
