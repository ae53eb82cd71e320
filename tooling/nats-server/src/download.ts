import { createHash } from 'node:crypto';

/** Bounds of one download. */
export interface DownloadLimits {
  /** For each hop: resolve, connect, and send the first byte of an answer. */
  readonly connectTimeoutMs: number;
  /** Between two pieces of the body. */
  readonly stallTimeoutMs: number;
  /** For everything together. */
  readonly totalTimeoutMs: number;
  readonly maxBytes: number;
}

const maxRedirects = 5;

/** Downloads a file into memory and checks its SHA-256. Throws a one-line reason. */
export async function downloadPinned(url: string, sha256: string, limits: DownloadLimits): Promise<Uint8Array> {
  const patience = new Patience();
  const total = setTimeout(
    () => patience.end(`${url} took longer than ${seconds(limits.totalTimeoutMs)}`),
    limits.totalTimeoutMs,
  );
  try {
    const response = await follow(url, limits, patience);
    if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`);
    const content = await readBody(url, response.body, limits, patience);
    const actual = createHash('sha256').update(content).digest('hex');
    if (actual !== sha256) throw new Error(`${url} has SHA-256 ${actual}, expected ${sha256}`);
    return content;
  } catch (error) {
    if (patience.reason !== undefined) throw new Error(patience.reason, { cause: error });
    throw error;
  } finally {
    patience.stopWaiting();
    clearTimeout(total);
  }
}

/** Follows redirects by hand, because each hop is a new host that may be out of reach. */
async function follow(url: string, limits: DownloadLimits, patience: Patience): Promise<Response> {
  let current = url;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const { host } = new URL(current);
    patience.wait(limits.connectTimeoutMs, `${host} did not answer within ${seconds(limits.connectTimeoutMs)}`);
    const response = await fetch(current, { redirect: 'manual', signal: patience.signal }).catch((error: unknown) => {
      const cause: unknown = error instanceof Error ? error.cause : undefined;
      throw new Error(`cannot reach ${host}: ${cause instanceof Error ? cause.message : String(error)}`, {
        cause: error,
      });
    });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    current = new URL(location, current).href;
  }
  throw new Error(`${url} redirects more than ${maxRedirects} times`);
}

async function readBody(
  url: string,
  body: AsyncIterable<Uint8Array>,
  limits: DownloadLimits,
  patience: Patience,
): Promise<Uint8Array> {
  const stalled = `${url} sent nothing for ${seconds(limits.stallTimeoutMs)}`;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  patience.wait(limits.stallTimeoutMs, stalled);
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > limits.maxBytes) throw new Error(`${url} is larger than ${limits.maxBytes} bytes`);
    chunks.push(chunk);
    patience.wait(limits.stallTimeoutMs, stalled);
  }
  return Buffer.concat(chunks);
}

/** One abort signal for a sequence of waits, and the reason for which it fired. */
class Patience {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  reason: string | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Replaces the wait before. */
  wait(timeoutMs: number, reason: string): void {
    this.stopWaiting();
    this.#timer = setTimeout(() => this.end(reason), timeoutMs);
  }

  stopWaiting(): void {
    clearTimeout(this.#timer);
  }

  end(reason: string): void {
    this.reason ??= reason;
    this.#controller.abort();
  }
}

function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}
