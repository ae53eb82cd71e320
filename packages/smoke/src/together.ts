/**
 * Waits for all of them, also when one fails, and only then throws the first failure: what a failed check leaves in
 * flight could otherwise commit behind the back of its clean-up.
 */
export async function together<T extends readonly Promise<unknown>[]>(
  tasks: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const settled = await Promise.allSettled(tasks);
  const values = settled.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
  return values as { -readonly [K in keyof T]: Awaited<T[K]> };
}

/** `count` of them at once; the task is told its index. */
export async function atOnce<T>(count: number, task: (index: number) => Promise<T>): Promise<T[]> {
  return await together(Array.from({ length: count }, async (_, index) => await task(index)));
}
