import { shortOrLong, type Fault } from './fault.ts';
import { drawServer } from './targets.ts';

/** kill -9, and after a pause started again on the same data. */
export const killServer: Fault = {
  name: 'kill-server',
  lane: 'servers',
  drawDurationMs: shortOrLong([0, 2_000], [3_000, 8_000]),
  async apply(mesh, random) {
    const { server, target } = await drawServer(mesh, random);
    await server.kill('SIGKILL');
    return { target, heal: async () => await server.restart() };
  },
};
