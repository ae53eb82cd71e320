import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from '../clients/command.ts';
import { mirrorOf, SOURCES } from '../reactor/mirroring.ts';
import type { Load, Worker } from './load.ts';

const items = Array.from({ length: 4 }, (_, index) => `sent ${index + 1}`);
const mostHeld = 5;

/**
 * Durable commands that are all valid: some for later, some of those cancelled, some sent twice under one id, some that expect
 * a version and may find another.
 */
export const sending: Load = {
  name: 'sending',
  workers: 6,
  pauseMs: [10, 60],
  async turn(worker) {
    const { random, desk, client } = worker;
    const command = await draw(worker);
    if (command === undefined) return;
    if (random.chance(0.7)) {
      await desk.post(client, command);
      if (random.chance(0.15)) await desk.post(client, command);
      return;
    }
    const dueMs = Date.now() + random.int(200, 2_000);
    const isStored = await desk.post(client, command, dueMs);
    if (random.chance(0.15)) await desk.post(client, command, dueMs);
    if (!isStored || random.chance(0.5)) return;
    // Also when it is nearly too late, or is.
    await sleep(random.int(0, 1_500));
    await desk.cancel(client, command);
  },
};

async function draw({ random, desk, client, nextId, memory }: Worker): Promise<Command | undefined> {
  const entityId = random.pick(items);
  const common = { agent: 'inventory', entityId } as const;
  if (desk.versionOf(entityId) === undefined) {
    const data = { name: 'washer', quantity: 1_000_000 };
    if ((await desk.send(client, { ...common, action: 'create', commandId: nextId(), data })) === undefined)
      return undefined;
  }
  const commandId = nextId();
  const held = (memory.get('held') ?? []) as { entityId: string; order: string }[];
  memory.set('held', held);
  const last = held.length > mostHeld ? held.shift() : undefined;
  if (last !== undefined) {
    return { ...common, action: 'release', commandId, entityId: last.entityId, data: { order_id: last.order } };
  }
  if (random.chance(0.3)) {
    held.push({ entityId, order: commandId });
    return { ...common, action: 'reserve', commandId, data: { order_id: commandId, quantity: random.int(1, 3) } };
  }
  const version = desk.versionOf(entityId);
  const guard = version !== undefined && random.chance(0.25) ? { expectedVersion: version } : {};
  return { ...common, action: 'adjust', commandId, ...guard, data: { delta: random.int(1, 9) * random.pick([-1, 1]) } };
}

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
