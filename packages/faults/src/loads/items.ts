import type { Answer } from '../history.ts';
import type { Worker } from './load.ts';

/** Few, so that there is contention; some are much in demand. */
const items = Array.from({ length: 12 }, (_, index) => `item-${index + 1}`);

/** No item ever has so much. */
export const TOO_MUCH = 1_000_000_000;

/** A stock item that several loads work on. Created first, if nobody has heard of it yet. */
export async function drawItem({ random, desk, client, nextId }: Worker): Promise<string> {
  const entityId = random.chance(0.4) ? (items[0] as string) : random.pick(items);
  if (desk.versionOf(entityId) === undefined) {
    const data = { name: 'bolt', quantity: 1_000_000 };
    await desk.send(client, { agent: 'inventory', action: 'create', commandId: nextId(), entityId, data });
  }
  return entityId;
}

export function isCommitted(answer: Answer | undefined): boolean {
  return answer?.kind === 'committed' || answer?.kind === 'replayed';
}
