// Hunts: faults that do not do what their names say, and faults that do not heal.
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { cutConnections } from '../src/faults/cut-connections.ts';
import { delayLinks } from '../src/faults/delay-links.ts';
import { dropAcks } from '../src/faults/drop-acks.ts';
import { NOBODY, type Fault, type Injected } from '../src/faults/fault.ts';
import { freezeAgent } from '../src/faults/freeze-agent.ts';
import { freezeServer } from '../src/faults/freeze-server.ts';
import { fullStream } from '../src/faults/full-stream.ts';
import { jumpAgentClock } from '../src/faults/jump-agent-clock.ts';
import { killAgent } from '../src/faults/kill-agent.ts';
import { killServer } from '../src/faults/kill-server.ts';
import { Chosen } from './support/chosen.ts';
import { acquire, adjust, create, replicasThere, startTestMesh, storedIn, type TestMesh } from './support/meshes.ts';

let tested: TestMesh;

beforeAll(async () => {
  tested = await startTestMesh({ replicas: 1, agents: 2 });
}, 60_000);

afterAll(async () => await tested.stop());

/** Heals with the test at the latest, so that a test that fails spoils no other. */
async function inject(fault: Fault, random: Chosen): Promise<Injected> {
  const injected = await fault.apply(tested.mesh, random, NOBODY);
  const { heal } = injected;
  if (heal === undefined) return injected;
  let healed: Promise<void> | undefined;
  const healOnce = (): Promise<void> => (healed ??= heal());
  onTestFinished(healOnce);
  return { ...injected, heal: healOnce };
}

/** Everything works: both agents commit, and every replica is there. */
async function expectWhole(name: string): Promise<void> {
  const outcomes = [create(`whole after ${name}`), acquire(`whole after ${name}`)].map((command) =>
    tested.client.sendPatiently(command),
  );
  for (const outcome of await Promise.all(outcomes)) {
    // Replayed: an answer was lost to the fault, and asked for again.
    const answer = { kind: expect.toBeOneOf(['committed', 'replayed']) as string };
    expect(outcome).toMatchObject({ kind: 'answered', answer });
  }
  await vi.waitFor(async () => expect(await replicasThere(tested, 'inventory')).toBe(2), 20_000);
  await vi.waitFor(async () => expect(await replicasThere(tested, 'sys_lock_manager')).toBe(2), 20_000);
}

test('a killed agent is gone, and heals as a new process', async () => {
  const [first] = tested.mesh.agents;
  const before = first?.pid;
  const { target, heal } = await inject(killAgent, new Chosen());
  expect(target).toBe('inventory-1');
  expect(first?.isAlive).toBe(false);
  expect(await replicasThere(tested, 'inventory')).toBe(1);
  await heal?.();
  expect(first?.pid).not.toBe(before);
  await expectWhole('kill-agent');
});

test('a frozen agent is alive and says nothing, and heals as the same process', async () => {
  const [first] = tested.mesh.agents;
  const before = first?.pid;
  const { heal } = await inject(freezeAgent, new Chosen());
  expect(await replicasThere(tested, 'inventory')).toBe(1);
  expect(first?.isAlive).toBe(true);
  await heal?.();
  await expectWhole('freeze-agent');
  expect(first?.pid).toBe(before);
});

test('an agent whose clock jumped tells another time, until it heals', async () => {
  const [first] = tested.mesh.agents;
  /** What the agent believes, from its log: it writes a line when its connection breaks. */
  const skewOf = async (): Promise<number> => {
    const lines = first?.logs().length ?? 0;
    for (const link of first?.links ?? []) link.cut();
    const line = await vi.waitFor(() => {
      const found = first
        ?.logs()
        .slice(lines)
        .split('\n')
        .find((each) => each.includes('"time"'));
      if (found === undefined) throw new Error('it has not noticed yet');
      return found;
    }, 20_000);
    return (JSON.parse(line) as { time: number }).time - Date.now();
  };
  const { target, heal } = await inject(jumpAgentClock, new Chosen(-1, 30_000));
  expect(target).toBe('inventory-1, by -30000 ms');
  expect(await skewOf()).toBeLessThan(-15_000);
  await heal?.();
  await expectWhole('jump-agent-clock');
  expect(await skewOf()).toBeGreaterThan(-15_000);
  await expectWhole('jump-agent-clock, twice');
});

test('a client whose answers are dropped is not told what was done', async () => {
  const { heal } = await inject(dropAcks, new Chosen('clients', 1));
  const before = await storedIn(tested, 'inventory');
  const command = create('acknowledged to nobody');
  expect(await tested.client.sendOnce(command, 500)).toMatchObject({ kind: 'timeout' });
  expect(await storedIn(tested, 'inventory')).toBe(before + 1);
  await heal?.();
  expect(await tested.client.sendPatiently(command)).toMatchObject({ answer: { kind: 'replayed' } });
  await expectWhole('drop-acks');
});

test('agents whose acknowledgements are dropped have stored what they do not know of', async () => {
  // One replica, which knows the item and reads nothing before it publishes.
  const [, second] = tested.mesh.agents;
  await second?.kill();
  onTestFinished(() => second?.revive());
  const created = create('stored without the knowledge of its agent');
  await tested.client.sendPatiently(created);
  const { heal } = await inject(dropAcks, new Chosen('agents', 1));
  const before = await storedIn(tested, 'inventory');
  const command = adjust(created.entityId);
  expect(await tested.client.sendOnce(command, 700)).toMatchObject({ kind: 'timeout' });
  expect(await storedIn(tested, 'inventory')).toBe(before + 1);
  await heal?.();
  expect(await tested.client.sendPatiently(command)).toMatchObject({ answer: { payload: { entity_version: 2 } } });
  expect(await storedIn(tested, 'inventory')).toBe(before + 1);
  await second?.revive();
  await expectWhole('drop-acks of agents');
});

test('links that delay make every answer late', async () => {
  const { heal } = await inject(delayLinks, new Chosen('clients', 150, 400));
  const startedAt = performance.now();
  const outcome = await tested.client.sendOnce(create('late'), 5_000);
  expect(outcome).toMatchObject({ answer: { kind: 'committed' } });
  expect(performance.now() - startedAt).toBeGreaterThan(540);
  await heal?.();
  await expectWhole('delay-links');
});

test('cut connections come back by themselves', async () => {
  const links = [...tested.mesh.clientLinks.flat(), ...tested.mesh.agents.flatMap((agent) => agent.links)];
  const connections = (): number => links.reduce((sum, link) => sum + link.connections, 0);
  const before = connections();
  const { heal } = await inject(cutConnections, new Chosen('both'));
  expect(heal).toBeUndefined();
  await vi.waitFor(() => expect(connections()).toBeLessThan(before), { timeout: 1_000, interval: 1 });
  await vi.waitFor(() => expect(connections()).toBe(before), 20_000);
  await expectWhole('cut-connections');
});

test('a full stream takes no commit, and the agents say so until its limit is lifted', async () => {
  await tested.client.sendPatiently(create('the last that fits'));
  const before = await storedIn(tested, 'inventory');
  const { heal } = await inject(fullStream, new Chosen());
  expect(await tested.client.sendOnce(create('too much'), 5_000)).toMatchObject({ kind: 'unavailable' });
  expect(await storedIn(tested, 'inventory')).toBe(before);
  await heal?.();
  await expectWhole('full-stream');
});

test.each([killServer, freezeServer])('while the only server is away nothing is answered: $name', async (fault) => {
  const { heal } = await inject(fault, new Chosen());
  expect(await tested.client.sendOnce(create(`while ${fault.name}`), 700)).toMatchObject({ kind: 'timeout' });
  await heal?.();
  await expectWhole(fault.name);
});

test('no agent ended by itself', () => {
  expect(tested.deaths).toEqual([]);
});
