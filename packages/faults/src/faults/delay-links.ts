import { shortOrLong, type Fault } from './fault.ts';
import { drawLinks } from './targets.ts';

/** Everything arrives, and late; each way by another time. */
export const delayLinks: Fault = {
  name: 'delay-links',
  lane: 'links',
  drawDurationMs: shortOrLong([500, 3_000], [3_000, 8_000]),
  async apply(mesh, random) {
    const { links, ...hit } = drawLinks(mesh, random);
    const [there, back] = [random.pick([0, 20, 150, 700]), random.pick([5, 50, 400])];
    const slow = { toServer: { delayMs: there }, toClient: { delayMs: back } };
    const undo = links.map((link) => link.disturb(slow));
    await Promise.resolve();
    return {
      ...hit,
      target: `${hit.target}, by ${there} ms there and ${back} ms back`,
      heal: async () => {
        for (const each of undo) each();
        await Promise.resolve();
      },
    };
  },
};
