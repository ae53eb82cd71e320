import { shortOrLong, type Fault } from './fault.ts';
import { drawLinks } from './targets.ts';

/** Everything arrives, and late; each way by another time. */
export const delayLinks: Fault = {
  name: 'delay-links',
  lane: 'links',
  drawDurationMs: shortOrLong([500, 3_000], [3_000, 8_000]),
  async apply(mesh, random) {
    const { links, ...hit } = drawLinks(mesh, random);
    const [toServerDelayMs, toClientDelayMs] = [random.pick([0, 20, 150, 700]), random.pick([5, 50, 400])];
    const undo = links.map((link) => link.disturb({ toServerDelayMs, toClientDelayMs }));
    await Promise.resolve();
    return {
      ...hit,
      target: `${hit.target}, by ${toServerDelayMs} ms there and ${toClientDelayMs} ms back`,
      heal: async () => {
        for (const each of undo) each();
        await Promise.resolve();
      },
    };
  },
};
