import { shortOrLong, type Fault } from './fault.ts';
import { drawAgents } from './targets.ts';

/** kill -9 with commands under way, and after a pause started again. */
export const killAgent: Fault = {
  name: 'kill-agent',
  lane: 'agents',
  drawDurationMs: shortOrLong([0, 1_000], [1_000, 4_000]),
  async apply(mesh, random) {
    const { agents, target } = drawAgents(mesh, random);
    await Promise.all(agents.map((agent) => agent.kill()));
    return {
      target,
      ended: agents.map(({ agent }) => agent),
      heal: async () => {
        await Promise.all(agents.map((agent) => agent.revive()));
      },
    };
  },
};
