import { createHash } from 'node:crypto';

/** Bounds of one download. */
export interface DownloadLimits {
  /** For each hop: resolve, connect, and send the first byte of an answer. */
  readonly connectTimeoutMs: number;
  /** For everything together. */
  readonly totalTimeoutMs: number;
  readonly maxBytes: number;
}

const maxRedirects = 5;

/** Downloads a file into memory and checks its SHA-256. Throws a one-line reason. */
export async function downloadPinned(url: string, sha256: string, limits: DownloadLimits): Promise<Uint8Array> {
  const deadline = AbortSignal.timeout(limits.totalTimeoutMs);
  const response = await open(url, limits.connectTimeoutMs, deadline);
  if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body) {
      bytes += chunk.byteLength;
      if (bytes > limits.maxBytes) throw new Error(`${url} is larger than ${limits.maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (deadline.aborted) throw new Error(`${url} took longer than ${limits.totalTimeoutMs / 1000} s`, { cause: error });
    throw error;
  }
  const content = Buffer.concat(chunks);
  const actual = createHash('sha256').update(content).digest('hex');
  if (actual !== sha256) throw new Error(`${url} has SHA-256 ${actual}, expected ${sha256}`);
  return content;
}

/** Follows redirects by hand, because each hop is a new host that may be out of reach. */
async function open(url: string, connectTimeoutMs: number, deadline: AbortSignal): Promise<Response> {
  let current = url;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const response = await openOne(current, connectTimeoutMs, deadline);
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    current = new URL(location, current).href;
  }
  throw new Error(`${url} redirects more than ${maxRedirects} times`);
}

async function openOne(url: string, connectTimeoutMs: number, deadline: AbortSignal): Promise<Response> {
  const connecting = new AbortController();
  const timer = setTimeout(() => connecting.abort(), connectTimeoutMs);
  const { host } = new URL(url);
  try {
    return await fetch(url, { redirect: 'manual', signal: AbortSignal.any([connecting.signal, deadline]) });
  } catch (error) {
    if (connecting.signal.aborted) {
      throw new Error(`${host} did not answer within ${connectTimeoutMs / 1000} s`, { cause: error });
    }
    const cause: unknown = error instanceof Error ? error.cause : undefined;
    throw new Error(`cannot reach ${host}: ${cause instanceof Error ? cause.message : String(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
