import { shortOrLong, type Fault } from './fault.ts';

/**
 * A process of another release runs under the name of the reaction, and follows fewer events: what it does not handle must not get
 * lost, neither while it runs nor when it has gone.
 */
export const mixedRelease: Fault = {
  name: 'mixed-release',
  lane: 'streams',
  drawDurationMs: shortOrLong([500, 2_000], [3_000, 8_000]),
  async apply(mesh, random) {
    const isKilled = random.chance(0.5);
    const other = await mesh.startOtherRelease();
    return {
      target: `${other.name}, ${isKilled ? 'killed' : 'stopped'} in the end`,
      heal: async () => {
        await (isKilled ? other.kill() : other.halt());
        await other.stop();
      },
    };
  },
};
