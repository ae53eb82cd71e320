/** Loaded into a lock manager's process: with each SIGWINCH its wall clock jumps, an hour ahead, an hour back, and right again. */
const HOUR_MS = 3_600_000;
const JUMPS = [HOUR_MS, -HOUR_MS, 0];

const right = Date.now;
let jumps = 0;

process.on('SIGWINCH', () => {
  const skewMs = JUMPS[jumps++ % JUMPS.length] ?? 0;
  Date.now = () => right() + skewMs;
});
