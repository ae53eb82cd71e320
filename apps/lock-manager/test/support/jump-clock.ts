/** Loaded into a lock manager's process: with each SIGUSR2 its wall clock jumps, an hour ahead, an hour back, and right again. */
const HOUR_MS = 3_600_000;
const JUMPS = [HOUR_MS, -HOUR_MS, 0];

const right = Date.now;
let jumps = 0;

process.on('SIGUSR2', () => {
  const skewMs = JUMPS[jumps++ % JUMPS.length] ?? 0;
  Date.now = () => right() + skewMs;
});
