// Hunts: faults that take away what they do not put back, and a mesh that does not go on with what is left.
import {
  commandStream,
  entityStream,
  inventoryContract,
  lockContract,
  SIGNALS_STREAM,
  type LockState,
} from '@meshforge/protocol';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { deleteReaction } from '../src/faults/delete-reaction.ts';
import { deleteRecreated } from '../src/faults/delete-recreated.ts';
import type { Fault, Watch } from '../src/faults/fault.ts';
import { loseQueue } from '../src/faults/lose-queue.ts';
import { mixedRelease } from '../src/faults/mixed-release.ts';
import { purgeLock } from '../src/faults/purge-lock.ts';
import { restoreLog } from '../src/faults/restore-log.ts';
import type { Taken } from '../src/history.ts';
import { EXECUTOR } from '../src/mesh/consumers.ts';
import { mirrorOf, SOURCES } from '../src/reactor/mirroring.ts';
import { awaitEmptyQueues } from '../src/witness/queues.ts';
import { Chosen } from './support/chosen.ts';
import { acquire, adjust, create, startTestMesh, storedIn, type TestMesh } from './support/meshes.ts';

const agents = [inventoryContract.name];
const [source = ''] = SOURCES;
let tested: TestMesh;

beforeAll(async () => {
  tested = await startTestMesh({ replicas: 1, agents: 2 });
  for (const item of ['bolt', mirrorOf(source) ?? '', source]) await tested.client.sendPatiently(create(item));
}, 60_000);

afterAll(async () => await tested.stop());

/** @param meanwhile before it is healed */
async function carryOut(fault: Fault, random: Chosen, meanwhile = async (): Promise<void> => {}): Promise<string[]> {
  const told: string[] = [];
  const watch: Watch = {
    taken: ({ agent, what }: Omit<Taken, 'type'>) => void told.push(`${what} of ${agent}`),
    pauseReading: (agent) => {
      told.push(`pause ${agent}`);
      return Promise.resolve((last) => void told.push(`read on behind ${last}`));
    },
  };
  const { heal } = await fault.apply(tested.mesh, random, watch);
  await meanwhile();
  await heal?.();
  return told;
}

/** Requests, durable commands and what the reaction makes of them go on. */
async function expectWhole(): Promise<void> {
  expect(await awaitEmptyQueues(tested.mesh.manager, agents)).toEqual([]);
  const before = await storedIn(tested, 'inventory');
  await vi.waitFor(
    async () => expect(await tested.client.sendPatiently(adjust('bolt'))).toMatchObject({ kind: 'answered' }),
    20_000,
  );
  expect((await tested.client.post(adjust(source), undefined)).kind).toBe('stored');
  expect(await awaitEmptyQueues(tested.mesh.manager, agents)).toEqual([]);
  expect(await storedIn(tested, 'inventory')).toBe(before + 3);
}

test('an executor that was deleted is there again, and does what was stored meanwhile', async () => {
  await carryOut(deleteRecreated, new Chosen('inventory'), async () => {
    await tested.client.post(adjust('bolt'), undefined);
  });
  expect((await tested.mesh.manager.consumers.info(commandStream('inventory'), EXECUTOR)).name).toBe(EXECUTOR);
  await expectWhole();
});

test('so is the stream of signals', async () => {
  const random = new (class extends Chosen {
    override chance = (): boolean => true;
  })();
  await carryOut(deleteRecreated, random);
  expect((await tested.mesh.manager.streams.info(SIGNALS_STREAM)).config.name).toBe(SIGNALS_STREAM);
});

test('a reaction whose consumer was deleted goes on where the operator creates it', async () => {
  await carryOut(deleteReaction, new Chosen(), async () => {
    await tested.client.sendPatiently(adjust(source));
  });
  await expectWhole();
});

test('a queue that was deleted is one again, and its loss is told', async () => {
  expect(await carryOut(loseQueue, new Chosen())).toEqual(['queue of inventory']);
  await expectWhole();
});

test.each(['under running replicas', 'with the replicas stopped'])('a log is restored %s', async (how) => {
  const random = new Chosen('inventory');
  random.chance = () => how !== 'under running replicas';
  const before = await storedIn(tested, 'inventory');
  const told = await carryOut(restoreLog, random, async () => {
    for (let i = 0; i < 3; i++) await tested.client.sendPatiently(adjust('bolt'));
  });
  expect(told).toEqual(['pause inventory', 'tail of inventory', `read on behind ${before}`]);
  expect(await storedIn(tested, 'inventory')).toBe(before);
  await expectWhole();
});

test('a purged lock is free, and its next token is higher', async () => {
  const token = async (): Promise<number> => {
    const outcome = await tested.client.sendPatiently(acquire('resource 1'));
    expect(outcome).toMatchObject({ answer: { kind: 'committed', payload: { entity_version: 1 } } });
    const state = outcome.kind === 'answered' ? (outcome.answer.payload['state'] as Partial<LockState>) : {};
    return state.fencing_token ?? 0;
  };
  const before = await token();
  expect(await carryOut(purgeLock, new Chosen('resource 1'))).toEqual(['entity of lock']);
  expect((await tested.mesh.manager.streams.info(entityStream(lockContract.name))).state.messages).toBe(0);
  expect(await token()).toBeGreaterThan(before);
});

test('a release that follows fewer events takes none of them away', async () => {
  await carryOut(mixedRelease, new Chosen(), expectWhole);
  await expectWhole();
});

test('no agent ended by itself', () => {
  expect(tested.deaths).toEqual([]);
});
