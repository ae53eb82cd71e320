import { entityFilter, entityStream, lockContract } from '@meshforge/protocol';
import { AGENTS } from '../mesh/tested-mesh.ts';
import type { Fault } from './fault.ts';

/** Much in demand by several loads. */
const resources = ['resource 1', 'queue 1', 'guarded 1', 'guarded 2'];

/** All that the log has of a lock is purged, with its lease: its versions begin anew, and its tokens must not. */
export const purgeLock: Fault = {
  name: 'purge-lock',
  lane: 'streams',
  drawDurationMs: () => 0,
  async apply({ manager }, random, watch) {
    const entityId = random.pick(resources);
    const agent = AGENTS.find(({ name }) => name === lockContract.name)?.agent ?? '';
    // Before: what comes after it may be read at once.
    watch.taken({ agent, what: 'entity', entityId });
    const { purged } = await manager.streams.purge(entityStream(lockContract.name), {
      filter: entityFilter(lockContract.name, entityId),
    });
    return { target: `${entityId}, ${purged} messages` };
  },
};
