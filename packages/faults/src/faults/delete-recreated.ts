import { commandStream, entityStream, SIGNALS_STREAM } from '@meshforge/protocol';
import { persist } from '../persist.ts';
import type { Fault } from './fault.ts';
import { drawAgent, EXECUTOR } from './targets.ts';

const recreatedWithinMs = 120_000;

/** What holds no data is deleted: running agents create it again, and go on with what is stored. */
export const deleteRecreated: Fault = {
  name: 'delete-recreated',
  lane: 'streams',
  drawDurationMs: () => 0,
  async apply({ manager }, random) {
    const { name } = drawAgent(random);
    if (random.chance(0.3)) {
      await manager.streams.delete(SIGNALS_STREAM);
      const look = async (): Promise<void> => {
        const { num_replicas } = (await manager.streams.info(entityStream(name))).config;
        const { config } = await manager.streams.info(SIGNALS_STREAM);
        // An agent that was started before the streams grew creates it as it was then.
        if (config.num_replicas !== num_replicas) await manager.streams.update(SIGNALS_STREAM, { num_replicas });
      };
      return {
        target: SIGNALS_STREAM,
        heal: async () => await persist('the return of SIGNALS', look, recreatedWithinMs),
      };
    }
    const stream = commandStream(name);
    await manager.consumers.delete(stream, EXECUTOR);
    const look = async (): Promise<void> => void (await manager.consumers.info(stream, EXECUTOR));
    const heal = async (): Promise<void> =>
      await persist(`the return of the executor of ${stream}`, look, recreatedWithinMs);
    return { target: `the executor of ${stream}`, heal };
  },
};
