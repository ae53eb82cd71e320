import { entityStream, inventoryContract } from '@meshforge/protocol';
import { DeliverPolicy } from '@nats-io/jetstream';
import { REACTION_CONSUMER } from '../mesh/consumers.ts';
import { persist } from '../persist.ts';
import { shortOrLong, type Fault } from './fault.ts';

const stream = entityStream(inventoryContract.name);
const healWithinMs = 120_000;

/**
 * The consumer of a reaction is deleted. It holds the place where the reaction stands, so no running process may create it again. The
 * operator does, where the former had acknowledged all events: those behind it come once more.
 */
export const deleteReaction: Fault = {
  name: 'delete-reaction',
  lane: 'streams',
  drawDurationMs: shortOrLong([500, 2_000], [3_000, 6_000]),
  async apply({ agents, manager }, random) {
    await Promise.resolve(random);
    const reactors = agents.filter(({ agent }) => agent === 'reactor');
    // A process that starts begins as its options say, and might skip events.
    const release = await Promise.all(reactors.map((reactor) => reactor.holdStarts()));
    const { ack_floor: floor, config } = await manager.consumers.info(stream, REACTION_CONSUMER);
    await manager.consumers.delete(stream, REACTION_CONSUMER);
    const create = async (): Promise<void> => {
      const { metadata: _metadata, opt_start_seq: _sequence, opt_start_time: _time, ...settings } = config;
      const from = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: floor.stream_seq + 1 };
      await manager.consumers.add(stream, { ...settings, ...from });
    };
    const heal = async (): Promise<void> => {
      const found = await manager.consumers.info(stream, REACTION_CONSUMER).catch(() => undefined);
      if (found !== undefined) throw new Error(`a running process created the consumer ${REACTION_CONSUMER} again`);
      await persist('the creation of a consumer', create, healWithinMs);
      for (const each of release) each();
    };
    return { target: `${REACTION_CONSUMER}, which stood at ${floor.stream_seq}`, heal };
  },
};
