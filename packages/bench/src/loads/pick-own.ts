/** One of `count` things that no other worker picks at the same time. */
export function pickOwn(count: number, worker: number, concurrency: number): number {
  const own = Math.ceil((count - worker) / concurrency);
  return worker + concurrency * Math.floor(Math.random() * own);
}
