import { commandStream, inventoryContract } from '@meshforge/protocol';
import type { TestedMesh } from '../mesh/tested-mesh.ts';
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
  async apply(mesh, _random, watch) {
    const { config, state } = await mesh.manager.streams.info(stream);
    const create = async (): Promise<void> => {
      // An agent that was started meanwhile has created it.
      if ((await mesh.manager.streams.names().next()).includes(stream)) return;
      const { metadata: _metadata, ...settings } = config;
      // Sequences of two streams of one name never meet.
      await mesh.manager.streams.add({ ...settings, first_seq: Date.now() * microseconds });
    };
    await persist(`the deletion of ${stream}`, () => remove(mesh), healWithinMs);
    // Before it is there again: from then on nothing is lost.
    watch.taken({ agent: inventoryContract.name, what: 'queue' });
    return {
      target: `${stream} with ${state.messages} messages`,
      heal: async () => await persist(`the creation of ${stream}`, create, healWithinMs),
    };
  },
};

async function remove({ manager }: TestedMesh): Promise<void> {
  await manager.streams.delete(stream).catch((error: Error) => {
    if (!error.message.includes('stream not found')) throw error;
  });
}
