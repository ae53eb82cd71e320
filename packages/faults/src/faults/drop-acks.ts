import { shortOrLong, type Fault } from './fault.ts';
import { drawLinks } from './targets.ts';

/**
 * Answers get lost one way: an agent's publishes reach the server, its acknowledgements do not come back; a client's commands
 * are carried out, and it is not told. Commands and events still arrive.
 */
export const dropAcks: Fault = {
  name: 'drop-acks',
  lane: 'links',
  drawDurationMs: shortOrLong([100, 1_500], [2_000, 6_000]),
  async apply(mesh, random) {
    const { links, ...hit } = drawLinks(mesh, random);
    const share = random.pick([0.1, 0.5, 1]);
    const drops = (subject: string): boolean => subject.startsWith('_INBOX') && random.chance(share);
    const undo = links.map((link) => link.disturb({ drops }));
    return {
      ...hit,
      target: `${share * 100} % on ${hit.target}`,
      heal: async () => {
        for (const each of undo) each();
        await Promise.resolve();
      },
    };
  },
};
