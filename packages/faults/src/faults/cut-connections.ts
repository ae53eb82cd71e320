import type { Fault } from './fault.ts';
import { drawLinks } from './targets.ts';

/** Connections are reset with requests under way; whoever lost one may connect again at once. */
export const cutConnections: Fault = {
  name: 'cut-connections',
  lane: 'links',
  drawDurationMs: () => 0,
  async apply(mesh, random) {
    const { links, ...hit } = drawLinks(mesh, random);
    for (const link of links) link.cut();
    await Promise.resolve();
    return hit;
  },
};
