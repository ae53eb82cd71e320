const timeoutMs = 1_000;

/** Whether somebody answers well at an address within a second, such as a process at its `/readyz`. */
export async function answersOk(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })).ok;
  } catch {
    return false;
  }
}
