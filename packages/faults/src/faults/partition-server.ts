import type { Route } from '../mesh/servers.ts';
import type { Disturbance } from '../proxy/disturbance.ts';
import { shortOrLong, type Fault } from './fault.ts';
import { drawServer } from './targets.ts';

const silent: Disturbance = { toServer: { holds: true }, toClient: { holds: true } };

type Way = (route: Route, name: string) => Disturbance;

/** How a server is cut off. Clients and agents still reach it in each case. */
const ways: Readonly<Record<string, Way>> = {
  'cut off, and everyone notices': () => ({ refuses: true }),
  'cut off in silence': () => silent,
  'not heard by the others': ({ from }, name) => ({ [from === name ? 'toServer' : 'toClient']: { holds: true } }),
  'deaf to the others': ({ from }, name) => ({ [from === name ? 'toClient' : 'toServer']: { holds: true } }),
};

/** The routes between a server and the others, or one other, carry nothing. */
export const partitionServer: Fault = {
  name: 'partition-server',
  lane: 'servers',
  isFor: ({ replicas }) => replicas > 1,
  drawDurationMs: shortOrLong([500, 3_000], [6_000, 12_000]),
  async apply(mesh, random) {
    const [what, way] = random.pick(Object.entries(ways));
    const peer = random.pick(mesh.servers.nodes).name;
    const fromOneOnly = random.chance(0.3);
    const { server, target } = await drawServer(mesh, random);
    const name = server.name ?? '';
    const routes = mesh.servers.routes.filter(({ from, to }) => {
      if (from !== name && to !== name) return false;
      return !fromOneOnly || peer === name || from === peer || to === peer;
    });
    const undo = routes.map((route) => route.link.disturb(way(route, name)));
    if (way === ways['cut off, and everyone notices']) for (const { link } of routes) link.cut();
    return {
      target: `${target}: ${what}${fromOneOnly && peer !== name ? `, between it and ${peer} only` : ''}`,
      heal: async () => {
        for (const each of undo) each();
        await Promise.resolve();
      },
    };
  },
};
