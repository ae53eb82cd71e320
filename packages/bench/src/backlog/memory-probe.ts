/** Preloaded into an agent: tells who started it, ten times a second, how much memory it has. */
import type { MemoryReport } from './watched-agent.ts';

const everyMs = 100;

setInterval(() => {
  const report: MemoryReport = {
    maxRssBytes: process.resourceUsage().maxRSS * 1024,
    heapBytes: process.memoryUsage().heapUsed,
  };
  process.send?.(report);
}, everyMs).unref();
