import { entityStream } from '@meshforge/protocol';
import { backUp, restore } from '../mesh/backup.ts';
import { persist } from '../persist.ts';
import { shortOrLong, type Fault } from './fault.ts';
import { drawAgent } from './targets.ts';

const withinMs = 120_000;

/**
 * The log of an agent is backed up, and a while later restored: what was committed meanwhile is lost. Mostly as it should be done,
 * with all replicas of the agent stopped; now and then under running ones.
 */
export const restoreLog: Fault = {
  name: 'restore-log',
  lane: 'streams',
  drawDurationMs: shortOrLong([500, 2_000], [2_000, 5_000]),
  async apply({ agents, control, manager }, random, watch) {
    const { agent, name } = drawAgent(random);
    const stream = entityStream(name);
    const replicas = random.chance(0.6) ? agents.filter((each) => each.agent === agent) : [];
    const backup = await persist(`a backup of ${stream}`, () => backUp(control, stream), withinMs);
    const again = async (): Promise<void> => {
      // One that is there was created by an agent that was started meanwhile.
      await manager.streams.delete(stream).catch(() => {});
      await restore(control, backup);
    };
    const heal = async (): Promise<void> => {
      const release = await Promise.all(replicas.map((replica) => replica.holdStarts()));
      await Promise.all(replicas.map((replica) => replica.halt()));
      const readOn = await watch.pauseReading(agent);
      try {
        await persist(`the restoration of ${stream}`, again, withinMs);
        watch.taken({ agent, what: 'tail', sequence: backup.lastSequence });
        readOn(backup.lastSequence);
      } finally {
        for (const each of release) each();
      }
      await Promise.all(replicas.map((replica) => replica.revive()));
    };
    const how = replicas.length === 0 ? 'under running replicas' : 'with its replicas stopped';
    const target = `${stream} to sequence ${backup.lastSequence}, ${how}`;
    return { target, ended: replicas.map((replica) => replica.agent), heal };
  },
};
