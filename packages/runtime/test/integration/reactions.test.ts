// Hunts events that lead to nothing, to too much, or to it in another order; and those that stand in the way of others.
import { setTimeout as sleep } from 'node:timers/promises';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { command, connectMesh, type ChangeEvent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { first, follow, second, startChainAgents, third } from '../support/chain.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let server: NatsServer;
let mesh: Mesh;
let agents: RunningAgent[];

beforeAll(async () => {
  server = await startNatsServer();
  agents = await startChainAgents(server.url);
  mesh = await connectMesh({ servers: server.url });
});

afterAll(async () => {
  await mesh?.close();
  await Promise.all((agents ?? []).map((agent) => agent.stop()));
  await server?.stop();
});

type State = { n: number };
const add = (contract: typeof first, entityId: string, by = 1, more = {}) =>
  mesh.request(contract, 'add', { entityId, data: { by }, ...more });
const total = async (contract: typeof first, entityId: string) => (await mesh.get(contract, entityId))?.state.n;
const eventually = (look: () => Promise<void>) => vi.waitFor(look, { timeout: 20_000, interval: 50 });

test('an event leads to its command, with its cause and its correlation, through three agents', async () => {
  const reactions = await Promise.all([follow(mesh, first, second), follow(mesh, second, third)]);
  for (const reaction of reactions) endWithTest(reaction);
  const { commandId } = await add(first, 'a', 5, { correlationId: 'corr' });
  await eventually(async () => expect(await total(third, 'a')).toBe(5));
  const watch = mesh.watch(second);
  await mesh.get(second, 'a');
  await add(first, 'a', 2, { correlationId: 'corr', commandId: 'the cause' });
  const { value: event } = (await watch[Symbol.asyncIterator]().next()) as { value: ChangeEvent<State> };
  expect(event).toMatchObject({ entityId: 'a', state: { n: 7 }, correlationId: 'corr' });
  expect(event.commandId).not.toBe(commandId);
  watch.stop();
  await eventually(async () => expect(await total(third, 'a')).toBe(7));
});

test('what is handled twice, or by three replicas, happens once, and in the order of the events', async () => {
  const runs = new Map<string, number>();
  const meshes = await Promise.all(Array.from({ length: 3 }, () => connectMesh({ servers: server.url })));
  for (const each of meshes) {
    endWithTest(each);
    const options = { name: 'twice', from: 'now' as const, retry: { firstPauseMs: 10 } };
    const reaction = await each.react(first, options, ({ entityId, entityVersion, data }) => {
      const run = (runs.get(`${entityId} ${entityVersion}`) ?? 0) + 1;
      runs.set(`${entityId} ${entityVersion}`, run);
      const commands = [1, 2].map((part) =>
        command(second, 'add', { entityId, data: { by: Number(data?.['by']) * part } }),
      );
      // The first time it breaks down with half of it under way: the same commands come again.
      if (run === 1 && entityVersion % 3 === 0) {
        const never = command(second, 'add', { entityId, data: { by: 1 }, afterMs: Number.NaN });
        return [...commands.slice(0, 1), never];
      }
      return commands;
    });
    endWithTest(reaction);
  }
  for (let i = 1; i <= 20; i++) await Promise.all(['t1', 't2'].map((id) => add(first, id, i)));
  for (const id of ['t1', 't2']) {
    await eventually(async () => expect(await total(second, id)).toBe(3 * 210));
    const { events } = await mesh.history(second, id);
    const expected = Array.from({ length: 20 }, (_, i) => [i + 1, 2 * (i + 1)]).flat();
    expect(events.map(({ data }) => data?.['by']).toReversed()).toEqual(expected);
  }
});

test('a poison event dies after its tries, behind which its entity waits and no other; replayed, it is made good', async () => {
  let isBroken = true;
  const reaction = endWithTest(
    await mesh.react(first, { name: 'fragile', from: 'now', retry: { maxTries: 3, firstPauseMs: 150 } }, (event) => {
      if (isBroken && event.data?.['by'] === 13) throw new Error('thirteen');
      return command(third, 'add', { entityId: `of ${event.entityId}`, data: { by: Number(event.data?.['by']) } });
    }),
  );
  await add(first, 'sick', 13);
  await add(first, 'sick', 1);
  await add(first, 'well', 1);
  await vi.waitFor(async () => expect(await total(third, 'of well')).toBe(1), 20_000);
  expect(await total(third, 'of sick')).toBeUndefined();
  await eventually(async () => expect(await total(third, 'of sick')).toBe(1));
  expect(reaction.stats()).toMatchObject({ dead: 1, inFlight: 0 });
  const { letters } = await mesh.deadLetters('fragile').list();
  expect(letters).toMatchObject([
    { subject: 'ent.first.sick.0.added', reason: 'thirteen', tries: 3, entity_id: 'sick' },
  ]);
  const { id } = letters[0] ?? { id: 0 };
  await expect(mesh.deadLetters('fragile').get(id)).resolves.toMatchObject({ id });
  isBroken = false;
  expect(await mesh.deadLetters('fragile').replay({ id })).toBe(1);
  await eventually(async () => expect(await total(third, 'of sick')).toBe(14));
  expect((await mesh.deadLetters('fragile').list()).letters).toEqual([]);
});

test('it begins at the beginning, now, or at a time; and goes on where it was', async () => {
  await add(first, 'old', 1);
  await sleep(20);
  const between = new Date();
  await sleep(20);
  await add(first, 'newer', 1);
  const seen = { beginning: [] as string[], now: [] as string[], time: [] as string[] };
  const start = async (kind: keyof typeof seen) =>
    await mesh.react(first, { name: `from_${kind}`, from: kind === 'time' ? between : kind }, ({ entityId }) => {
      seen[kind].push(entityId);
      return undefined;
    });
  const reactions = await Promise.all((['beginning', 'now', 'time'] as const).map(start));
  await add(first, 'newest', 1);
  await eventually(() => Promise.resolve(Object.values(seen).forEach((ids) => expect(ids).toContain('newest'))));
  expect(seen.now).toEqual(['newest']);
  expect(seen.time).toEqual(['newer', 'newest']);
  expect(seen.beginning).toContain('old');
  await Promise.all(reactions.map((reaction) => reaction.stop()));
  await add(first, 'meanwhile', 1);
  endWithTest(await start('now'));
  await eventually(() => Promise.resolve(expect(seen.now).toEqual(['newest', 'meanwhile'])));
});

test('a name that no subject can carry is refused', async () => {
  await expect(mesh.react(first, { name: 'a.b' }, () => undefined)).rejects.toMatchObject({ code: 'invalid_options' });
});
