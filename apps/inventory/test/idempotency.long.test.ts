// Hunts: a retry that commits a second time, or that is told something else than the first try was: at once, side by
// side, late, after crashes of agents and of servers, on one server and on a cluster, whose servers check a repeated
// message in different orders.
import { startNatsCluster, startNatsServer } from '@meshforge/nats-server';
import { inventoryContract } from '@meshforge/protocol';
import { connectMesh, type Mesh } from '@meshforge/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { streamLeader } from '../../../packages/runtime/test/support/stream-leader.ts';
import {
  expectEachOnce,
  expectGapless,
  readCommits,
  type Commit,
} from '../../../packages/runtime/test/support/stream-witness.ts';
import {
  openConnection,
  sendCommand,
  type NatsConnection,
  type RawCommand,
  type RawReply,
} from '../../../packages/runtime/test/support/wire.ts';
import { startAgentProcesses, type AgentProcesses } from './support/agent-processes.ts';

/** Where the mesh runs, and how its server is killed. */
interface Place {
  url: string;
  /** SIGKILL to the server that leads the inventory's stream, and a restart of it. */
  crashServer(connection: NatsConnection): Promise<void>;
  stop(): Promise<void>;
}

async function oneServer(): Promise<Place> {
  const server = await startNatsServer();
  const crashServer = async (): Promise<void> => {
    await server.kill('SIGKILL');
    await server.restart();
  };
  return { url: server.url, crashServer, stop: () => server.stop() };
}

async function threeServers(): Promise<Place> {
  const cluster = await startNatsCluster();
  const crashServer = async (connection: NatsConnection): Promise<void> => {
    const leader = await streamLeader(cluster, connection, 'inventory');
    await leader.kill('SIGKILL');
    await cluster.ready();
    await leader.restart();
    await cluster.ready();
  };
  return { url: cluster.url, crashServer, stop: () => cluster.stop() };
}

describe.each([
  { where: 'one server', start: oneServer, streamReplicas: 1 as const },
  { where: 'a cluster of three', start: threeServers, streamReplicas: 3 as const },
])('on $where', ({ start, streamReplicas }) => {
  let place: Place;
  let processes: AgentProcesses;
  let connection: NatsConnection;
  let mesh: Mesh;

  beforeAll(async () => {
    place = await start();
    processes = await startAgentProcesses(place.url, 3, streamReplicas);
    connection = await openConnection(place.url);
    mesh = await connectMesh({ servers: place.url, timeoutMs: 60_000, tryTimeoutMs: 1_000 });
  }, 120_000);

  afterAll(async () => {
    await mesh?.close();
    await connection?.close();
    await processes?.stop();
    await place?.stop();
  }, 60_000);

  const send = (action: string, command: RawCommand): Promise<RawReply> =>
    sendCommand(connection, 'inventory', action, command);

  const commitsOf = async (entityId: string): Promise<Commit[]> =>
    (await readCommits(connection, 'inventory')).filter((commit) => commit.entityId === entityId);

  /** What a caller learns. */
  const told = ({ event, payload }: { event: string; payload: object }): object => ({ event, payload });

  const bolt = (quantity: number): object => ({ name: 'bolt', quantity, reserved: 0, reservations: {} });

  /** Commands on an item that others send meanwhile. */
  async function busy(entityId: string, commands: number): Promise<void> {
    for (let i = 0; i < commands; i++) await send('adjust', { entityId, data: { delta: 1 } });
  }

  /** Retries until somebody answers: agents or servers may just be coming back. */
  async function retry(action: 'create' | 'adjust' | 'reserve' | 'delete', command: RawCommand): Promise<object> {
    const { entityId, expectedVersion, data, commandId = '' } = command;
    const outcome = await mesh.request(inventoryContract, action, {
      entityId,
      commandId,
      data: data as never,
      ...(expectedVersion === undefined ? {} : { expectedVersion }),
    });
    expect(outcome.kind).toBe('replayed');
    return told(outcome);
  }

  test('I5: a retry at once gets the first outcome, marked as a replay, and changes nothing', async () => {
    const entityId = 'at-once';
    const create: RawCommand = { entityId, expectedVersion: 0, data: { name: 'bolt', quantity: 5 }, commandId: 'a1' };
    const reserve: RawCommand = { entityId, expectedVersion: 1, data: { order_id: 'o', quantity: 5 }, commandId: 'a2' };
    const fulfil: RawCommand = { entityId, expectedVersion: 2, data: { order_id: 'o' }, commandId: 'a3' };
    const remove: RawCommand = { entityId, expectedVersion: 3, commandId: 'a4' };
    const steps = [
      ['create', create],
      ['reserve', reserve],
      ['fulfil', fulfil],
      ['delete', remove],
    ] as const;
    const firsts: RawReply[] = [];
    for (const [action, command] of steps) {
      const first = await send(action, command);
      const second = await send(action, command);
      expect([first.replayed, second.replayed]).toEqual([false, true]);
      expect(told(second)).toEqual(told(first));
      expect(second.commandId).toBe(command.commandId);
      firsts.push(first);
    }
    // All of them once more, now that the item is gone.
    for (const [index, [action, command]] of steps.entries()) {
      const again = await send(action, command);
      expect(again.replayed).toBe(true);
      expect(told(again)).toEqual(told(firsts[index] as RawReply));
    }
    expect(await commitsOf(entityId)).toHaveLength(4);
  });

  test('I5: an id that comes again with other data, or for another action, is refused; the first command stands', async () => {
    const entityId = 'altered';
    const data = { name: 'bolt', quantity: 5 };
    const first = await send('create', { entityId, data, commandId: 'b1' });
    const altered = [
      await send('create', { entityId, data: { name: 'nut', quantity: 9 }, commandId: 'b1' }),
      await send('adjust', { entityId, data: { delta: 1 }, commandId: 'b1' }),
      await send('delete', { entityId, commandId: 'b1' }),
    ];
    for (const reply of altered) {
      expect(reply).toMatchObject({ replayed: false, errorCode: 400, payload: { code: 'invalid_command' } });
      expect(reply.payload['reason']).toContain('b1 was used before, for another command on this entity');
    }
    // What a retry was decided on, or under, may have changed meanwhile: it is the same command all the same.
    const again = await send('create', { entityId, data, commandId: 'b1', expectedVersion: 7 });
    expect([told(again), again.replayed]).toEqual([told(first), true]);
    expect(await commitsOf(entityId)).toHaveLength(1);
  });

  test.each([
    { kind: 'unguarded', expectedVersion: undefined },
    { kind: 'guarded', expectedVersion: 1 },
  ])(
    'I5: of 20 copies of one $kind command at once one commits, and all get its outcome',
    async ({ kind, ...guard }) => {
      for (let round = 0; round < 10; round++) {
        const entityId = `copies-${kind}-${round}`;
        await send('create', { entityId, data: { name: 'bolt' } });
        const copy: RawCommand = { entityId, data: { delta: 7 }, commandId: `c-${kind}-${round}` };
        if (guard.expectedVersion !== undefined) copy.expectedVersion = guard.expectedVersion;
        const replies = await Promise.all(Array.from({ length: 20 }, () => send('adjust', copy)));
        const [first] = replies.filter(({ replayed }) => !replayed);
        expect(replies.filter(({ replayed }) => replayed)).toHaveLength(19);
        expect(first).toMatchObject({
          event: 'evt.inventory.adjusted',
          payload: { entity_version: 2, state: { quantity: 7 }, data: { delta: 7 } },
        });
        expect(replies.map(told)).toEqual(replies.map(() => told(first as RawReply)));
        expect(await commitsOf(entityId)).toHaveLength(2);
      }
    },
    60_000,
  );

  test('I5: of 20 copies at once of the command that creates an item one commits, and all get its outcome', async () => {
    for (let round = 0; round < 10; round++) {
      const copy: RawCommand = { entityId: `born-${round}`, data: { name: 'bolt' }, commandId: `d-${round}` };
      if (round % 2 === 0) copy.expectedVersion = 0;
      const replies = await Promise.all(Array.from({ length: 20 }, () => send('create', copy)));
      const outcome = {
        event: 'evt.inventory.created',
        payload: { entity_id: copy.entityId, entity_version: 1, state: bolt(0) },
      };
      expect(replies.map(told)).toEqual(replies.map(() => outcome));
      expect(replies.filter(({ replayed }) => replayed)).toHaveLength(19);
      expect(await commitsOf(copy.entityId)).toHaveLength(1);
    }
  }, 60_000);

  test.each([20, 32, 40])('I2, I5: a retry after %i later commands gets the first outcome', async (later) => {
    const entityId = `late-${later}`;
    await send('create', { entityId, data: { name: 'bolt', quantity: 100 } });
    const unguarded: RawCommand = { entityId, data: { delta: -30 }, commandId: `e1-${later}` };
    const guarded: RawCommand = { entityId, expectedVersion: 2, data: { delta: -30 }, commandId: `e2-${later}` };
    const unrepeatable: RawCommand = { entityId, data: { order_id: 'o', quantity: 5 }, commandId: `e3-${later}` };
    const firsts = [
      await send('adjust', unguarded),
      await send('adjust', guarded),
      await send('reserve', unrepeatable),
    ];
    await busy(entityId, later);
    const seconds = [
      await send('adjust', unguarded),
      await send('adjust', guarded),
      await send('reserve', unrepeatable),
    ];
    expect(seconds.map(told)).toEqual(firsts.map(told));
    expect(seconds.map(({ replayed }) => replayed)).toEqual([true, true, true]);
    expect(await commitsOf(entityId)).toHaveLength(4 + later);
  });

  test('I5: an id that was used on another item is refused, and commits nothing', async () => {
    await send('create', { entityId: 'used-here', data: { name: 'bolt' }, commandId: 'f1' });
    const attempts = [
      await send('create', { entityId: 'used-there', data: { name: 'bolt' }, commandId: 'f1' }),
      await send('create', { entityId: 'used-there', expectedVersion: 0, data: { name: 'bolt' }, commandId: 'f1' }),
    ];
    await send('create', { entityId: 'lives', data: { name: 'bolt' } });
    attempts.push(await send('adjust', { entityId: 'lives', data: { delta: 1 }, commandId: 'f1' }));
    for (const { event, errorCode, payload, replayed } of attempts) {
      expect({ event, errorCode, code: payload['code'], replayed }).toEqual({
        event: 'evt.inventory.rejected',
        errorCode: 400,
        code: 'invalid_command',
        replayed: false,
      });
    }
    expect(await commitsOf('used-there')).toEqual([]);
    expect(await commitsOf('lives')).toHaveLength(1);
    // The item is not spoilt for other commands.
    expect((await send('create', { entityId: 'used-there', data: { name: 'bolt' } })).event).toBe(
      'evt.inventory.created',
    );
  });

  test('I5: a retry after every agent was killed and restarted gets the first outcome', async () => {
    const entityId = 'agents-killed';
    const create: RawCommand = { entityId, data: { name: 'bolt', quantity: 100 }, commandId: 'g1' };
    const guarded: RawCommand = { entityId, expectedVersion: 1, data: { order_id: 'o', quantity: 5 }, commandId: 'g2' };
    const unguarded: RawCommand = { entityId, data: { delta: -40 }, commandId: 'g3' };
    const firsts = [await send('create', create), await send('reserve', guarded), await send('adjust', unguarded)];
    await processes.restartAll();
    expect([await retry('create', create), await retry('reserve', guarded), await retry('adjust', unguarded)]).toEqual(
      firsts.map(told),
    );
    await busy(entityId, 20);
    await processes.restartAll();
    expect([await retry('create', create), await retry('reserve', guarded), await retry('adjust', unguarded)]).toEqual(
      firsts.map(told),
    );
    expect(await commitsOf(entityId)).toHaveLength(23);
  }, 120_000);

  test('I5: a retry after the server was killed and restarted gets the first outcome', async () => {
    const entityId = 'server-killed';
    const create: RawCommand = { entityId, data: { name: 'bolt', quantity: 100 }, commandId: 'h1' };
    const guarded: RawCommand = { entityId, expectedVersion: 1, data: { order_id: 'o', quantity: 5 }, commandId: 'h2' };
    const unguarded: RawCommand = { entityId, data: { delta: -40 }, commandId: 'h3' };
    const firsts = [await send('create', create), await send('reserve', guarded), await send('adjust', unguarded)];
    await place.crashServer(connection);
    expect([await retry('create', create), await retry('reserve', guarded), await retry('adjust', unguarded)]).toEqual(
      firsts.map(told),
    );
    const elsewhere = await mesh.request(inventoryContract, 'create', {
      entityId: 'server-killed-2',
      data: { name: 'bolt' },
      commandId: 'h1',
    });
    expect(elsewhere).toMatchObject({ kind: 'malformed', payload: { code: 'invalid_command' } });
    expect(await commitsOf(entityId)).toHaveLength(3);
  }, 120_000);

  test('I1, I5: over everything that happened here, the log is gapless and holds no command twice', async () => {
    const commits = await readCommits(connection, 'inventory');
    expectGapless(commits);
    expectEachOnce(commits);
  });
});
