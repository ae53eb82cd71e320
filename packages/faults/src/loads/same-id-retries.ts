import type { Load } from './load.ts';

/**
 * Asks again for commands that have committed, or may have, some of them minutes ago and before many a restart: the first
 * outcome must come, and nothing be done twice.
 */
export const sameIdRetries: Load = {
  name: 'same-id-retries',
  workers: 3,
  pauseMs: [20, 80],
  async turn({ desk, client, random }) {
    await desk.askAgain(client, random);
  },
};
