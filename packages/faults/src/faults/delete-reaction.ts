import { entityStream, inventoryContract } from '@meshforge/protocol';
import { DeliverPolicy, type ConsumerInfo } from '@nats-io/jetstream';
import type { TestedMesh } from '../mesh/tested-mesh.ts';
import { persist } from '../persist.ts';
import { REACTION_CONSUMER } from '../reactor/mirroring.ts';
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
  async apply(mesh) {
    const { agents, manager } = mesh;
    const before = await manager.consumers.info(stream, REACTION_CONSUMER);
    const reactors = agents.filter(({ agent }) => agent === 'reactor');
    // A process that starts begins as its options say, and might skip events.
    const release = await Promise.all(reactors.map((reactor) => reactor.holdStarts()));
    // Without an answer it is deleted or not: the heal looks.
    await manager.consumers.delete(stream, REACTION_CONSUMER).catch(() => {});
    return {
      target: `${REACTION_CONSUMER}, which stood at ${before.ack_floor.stream_seq}`,
      heal: async () => {
        const isAgain = await persist('a look at a consumer', () => createAgain(mesh, before), healWithinMs).finally(
          () => {
            for (const each of release) each();
          },
        );
        if (isAgain) throw new Error(`a running process created the consumer ${REACTION_CONSUMER} again`);
      },
    };
  },
};

/** @returns whether somebody else was first */
async function createAgain({ manager }: TestedMesh, before: ConsumerInfo): Promise<boolean> {
  const from = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: before.ack_floor.stream_seq + 1 };
  const found = await find(manager);
  // An earlier try may have created it, and the answer was lost.
  const isOurs = found?.created === before.created || found?.config.opt_start_seq === from.opt_start_seq;
  if (found !== undefined) return !isOurs;
  const { metadata: _metadata, opt_start_seq: _sequence, opt_start_time: _time, ...settings } = before.config;
  await manager.consumers.add(stream, { ...settings, ...from });
  return false;
}

async function find(manager: TestedMesh['manager']): Promise<ConsumerInfo | undefined> {
  try {
    return await manager.consumers.info(stream, REACTION_CONSUMER);
  } catch (error) {
    if ((error as Error).message.includes('consumer not found')) return undefined;
    throw error;
  }
}
