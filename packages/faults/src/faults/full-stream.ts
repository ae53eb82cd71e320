import { entityStream, inventoryContract } from '@meshforge/protocol';
import type { TestedMesh } from '../mesh/tested-mesh.ts';
import { persist } from '../persist.ts';
import { shortOrLong, type Fault } from './fault.ts';

const stream = entityStream(inventoryContract.name);
const healWithinMs = 120_000;

/**
 * The inventory's stream reaches a limit and refuses commits until it is lifted. Not for a stream with leases: its
 * schedules forbid it to discard new messages, and it must never drop old ones.
 */
export const fullStream: Fault = {
  name: 'full-stream',
  lane: 'streams',
  drawDurationMs: shortOrLong([300, 1_500], [2_000, 5_000]),
  async apply(mesh, random) {
    const { state } = await mesh.manager.streams.info(stream);
    const spare = random.int(0, 20);
    const limit = random.pick([{ max_msgs: state.messages + spare }, { max_bytes: state.bytes + spare * 500 }]);
    await mesh.manager.streams.update(stream, limit);
    return {
      target: `${stream} with ${JSON.stringify(limit)}`,
      heal: async () => await persist('lifting the limits', () => liftLimits(mesh), healWithinMs),
    };
  },
};

async function liftLimits({ manager }: TestedMesh): Promise<void> {
  await manager.streams.update(stream, { max_msgs: -1, max_bytes: -1 });
}
