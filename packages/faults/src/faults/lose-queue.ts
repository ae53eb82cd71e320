import { commandStream, inventoryContract } from '@meshforge/protocol';
import { persist } from '../persist.ts';
import { shortOrLong, type Fault } from './fault.ts';

const stream = commandStream(inventoryContract.name);
const healWithinMs = 120_000;
const microseconds = 1_000;

/** The stream of durable commands is deleted with what is in it, and created again by the operator. */
export const loseQueue: Fault = {
  name: 'lose-queue',
  lane: 'streams',
  drawDurationMs: shortOrLong([0, 1_000], [1_000, 4_000]),
  async apply({ manager }, _random, watch) {
    const { config, state } = await manager.streams.info(stream);
    // Without an answer it is deleted or not: it counts as lost.
    await manager.streams.delete(stream).catch(() => {});
    const create = async (): Promise<void> => {
      // An agent that was started meanwhile has created it.
      if ((await manager.streams.names().next()).includes(stream)) return;
      const { metadata: _metadata, ...settings } = config;
      // Sequences of two streams of one name never meet.
      await manager.streams.add({ ...settings, first_seq: Date.now() * microseconds });
    };
    return {
      target: `${stream} with ${state.messages} messages`,
      heal: async () => {
        await persist(`the creation of ${stream}`, create, healWithinMs);
        watch.taken({ agent: inventoryContract.name, what: 'queue' });
      },
    };
  },
};
