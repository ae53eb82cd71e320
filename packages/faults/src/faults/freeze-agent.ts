import { shortOrLong, type Fault } from './fault.ts';
import { drawAgents } from './targets.ts';

/**
 * SIGSTOP: commands still come to it, and wait until SIGCONT. Long is longer than any lease of the load, so that it wakes
 * up with memories of leases that have ended.
 */
export const freezeAgent: Fault = {
  name: 'freeze-agent',
  lane: 'agents',
  drawDurationMs: shortOrLong([100, 1_000], [3_500, 8_000]),
  async apply(mesh, random) {
    const { agents, target } = drawAgents(mesh, random);
    await Promise.all(agents.map((agent) => agent.freeze()));
    return {
      target,
      heal: async () => {
        await Promise.all(agents.map((agent) => agent.thaw()));
      },
    };
  },
};
