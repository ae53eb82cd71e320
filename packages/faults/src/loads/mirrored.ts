import { mirrorOf, SOURCES } from '../reactor/mirroring.ts';
import type { Load, Worker } from './load.ts';

/** Adjusts sources whose mirrors follow by way of a reaction, by requests and by durable commands. */
export const mirrored: Load = {
  name: 'mirrored',
  workers: 3,
  pauseMs: [10, 60],
  async turn(worker) {
    const { random, desk, client, nextId } = worker;
    const source = random.pick(SOURCES);
    if (!(await isMade(worker, source))) return;
    const data = { delta: random.int(1, 9) * random.pick([-1, 1]) };
    const command = { agent: 'inventory', action: 'adjust', commandId: nextId(), entityId: source, data } as const;
    await (random.chance(0.5) ? desk.post(client, command) : desk.send(client, command));
  },
};

/** The mirror first: it must be there when its source changes. */
async function isMade({ desk, client, memory, nextId }: Worker, source: string): Promise<boolean> {
  for (const entityId of [mirrorOf(source) ?? '', source]) {
    if (memory.get(entityId) === desk.forgotten) continue;
    const data = { name: 'mirrored', quantity: 1_000_000 };
    const { forgotten } = desk;
    const command = { agent: 'inventory', action: 'create', commandId: nextId(), entityId, data } as const;
    const answer = await desk.send(client, command);
    // That it is there already is as good.
    if (answer === undefined) return false;
    memory.set(entityId, forgotten);
  }
  return true;
}
