// Logs much when it is told to, and ends.
import { processLogger } from '../../src/process/logger.ts';

const logger = processLogger('talkative', 'info');
// Input alone keeps no process alive here.
setTimeout(() => process.exit(4), 15_000);
process.stdin.once('data', () => {
  for (let i = 0; i < 10_000; i++) logger.info({ i }, 'there is nobody to read this');
  process.exit(3);
});
