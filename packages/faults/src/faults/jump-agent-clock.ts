import { shortOrLong, type Fault } from './fault.ts';
import { drawAgents } from './targets.ts';

const hourMs = 3_600_000;

/** The wall clock of an agent's machine jumps, forwards or backwards, and jumps back. Leases must not care. */
export const jumpAgentClock: Fault = {
  name: 'jump-agent-clock',
  lane: 'agents',
  drawDurationMs: shortOrLong([200, 2_000], [2_000, 6_000]),
  async apply(mesh, random) {
    const { agents, target } = drawAgents(mesh, random);
    const skewMs = random.pick([-1, 1]) * random.pick([300, 2_000, 30_000, hourMs, 24 * hourMs]);
    for (const agent of agents) agent.skewClock(skewMs);
    return {
      target: `${target}, by ${skewMs} ms`,
      heal: async () => {
        for (const agent of agents) agent.skewClock(0);
        await Promise.resolve();
      },
    };
  },
};
