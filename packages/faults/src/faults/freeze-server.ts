import { shortOrLong, type Fault } from './fault.ts';
import { drawServer } from './targets.ts';

/** SIGSTOP: its connections stand and say nothing, until SIGCONT. Long is longer than an election. */
export const freezeServer: Fault = {
  name: 'freeze-server',
  lane: 'servers',
  drawDurationMs: shortOrLong([200, 1_500], [6_000, 12_000]),
  async apply(mesh, random) {
    const { server, target } = await drawServer(mesh, random);
    await server.kill('SIGSTOP');
    return { target, heal: async () => await server.kill('SIGCONT') };
  },
};
