// Logs much, after a while, and ends.
import { processLogger } from '../../src/process/logger.ts';

const logger = processLogger('talkative', 'info');
setTimeout(() => {
  for (let i = 0; i < 10_000; i++) logger.info({ i }, 'there is nobody to read this');
  process.exit(3);
}, 500);
