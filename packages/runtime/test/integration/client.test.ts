// Hunts: updates that are lost between reading and writing, reads that are older than what the reader has written, and
// pages with gaps, repeats or another order.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectMesh, MeshError, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { tally, tallyContract } from './tally.ts';

let server: NatsServer;
let agents: RunningAgent[];
let mesh: Mesh;

beforeAll(async () => {
  server = await startNatsServer();
  const nats = { servers: server.url };
  agents = await Promise.all([startAgent(tally, { nats }), startAgent(tally, { nats })]);
  mesh = await connectMesh(nats);
});

afterAll(async () => {
  await mesh?.close();
  await Promise.all((agents ?? []).map((agent) => agent.stop()));
  await server?.stop();
});

async function open(entityId: string, note = ''): Promise<void> {
  expect((await mesh.request(tallyContract, 'open', { entityId, data: { note } })).kind).toBe('committed');
}

async function add(entityId: string, by: number): Promise<number> {
  const outcome = await mesh.request(tallyContract, 'add', { entityId, data: { by } });
  expect(outcome.kind).toBe('committed');
  return (outcome.payload as { entity_version: number }).entity_version;
}

const close = (entityId: string) => mesh.request(tallyContract, 'close', { entityId });

describe('update', () => {
  test('I3: of 16 updaters at once, each from a client of its own, no update is lost', async () => {
    await open('shared');
    const updaters = 16;
    const rounds = 10;
    let decided = 0;
    const clients = await Promise.all(Array.from({ length: updaters }, () => connectMesh({ servers: server.url })));
    await Promise.all(
      clients.map(async (client) => {
        for (let round = 0; round < rounds; round++) {
          const outcome = await client.update(tallyContract, 'shared', (state) => {
            decided++;
            // Only right if the state is still what it was when the command arrives.
            return { action: 'add', data: { by: (state?.n ?? Number.NaN) % 7 === 0 ? 8 : 1 } };
          });
          expect(outcome?.kind).toBe('committed');
        }
        await client.close();
      }),
    );
    let n = 0;
    for (let i = 0; i < updaters * rounds; i++) n += n % 7 === 0 ? 8 : 1;
    expect(await mesh.get(tallyContract, 'shared')).toEqual({
      entity_id: 'shared',
      entity_version: updaters * rounds + 1,
      state: { n, note: '' },
    });
    // They met: otherwise nothing was put to the test.
    expect(decided).toBeGreaterThan(updaters * rounds);
  }, 120_000);

  test('sees no entity as null and version 0, and may create it; of 8 at once one creates', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () =>
        mesh.update(tallyContract, 'made', (state, version) => {
          if (state !== null) return undefined;
          expect(version).toBe(0);
          return { action: 'open', data: { note: 'first' } };
        }),
      ),
    );
    expect(outcomes.map((outcome) => outcome?.kind).filter((kind) => kind === 'committed')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === undefined)).toHaveLength(7);
  });

  test('of one entity by one client take turns: none meets another, and only the first reads', async () => {
    await open('queued');
    const conflicts = (): number =>
      agents.reduce((sum, agent) => sum + (agent.stats().actions['add']?.outcomes['conflict'] ?? 0), 0);
    const before = conflicts();
    const client = await connectMesh({ servers: server.url });
    const get = client.get.bind(client);
    let reads = 0;
    client.get = async (...query) => {
      reads++;
      return await get(...query);
    };
    const seen: (number | undefined)[] = [];
    await Promise.all(
      Array.from({ length: 50 }, () =>
        client.update(tallyContract, 'queued', (state) => {
          seen.push(state?.n);
          return { action: 'add', data: { by: 1 } };
        }),
      ),
    );
    await client.close();
    expect(seen).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect({ conflicts: conflicts() - before, reads }).toEqual({ conflicts: 0, reads: 1 });
    expect(await mesh.get(tallyContract, 'queued')).toMatchObject({ state: { n: 50 } });
  });

  test('does not wait for ever for one before it that hangs', async () => {
    await open('stuck');
    const client = await connectMesh({ servers: server.url });
    const request = client.request.bind(client);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let first = true;
    client.request = async (...command) => {
      const isFirst = first;
      first = false;
      if (isFirst) await held;
      return await request(...command);
    };
    const increment = () => client.update(tallyContract, 'stuck', () => ({ action: 'add', data: { by: 1 } }));
    const stuck = increment();
    const next = await increment();
    expect(next).toMatchObject({ kind: 'committed', payload: { state: { n: 1 } } });
    release();
    // Its version has passed: it begins anew, and nothing is lost.
    expect(await stuck).toMatchObject({ kind: 'committed', payload: { state: { n: 2 } } });
    await client.close();
  });

  test('gives up after the tries it was given, and says so', async () => {
    await open('spoilt');
    const client = await connectMesh({ servers: server.url });
    // Between what it reads and what it writes, somebody else is always faster.
    const get = client.get.bind(client);
    client.get = async (...query) => {
      const found = await get(...query);
      await add('spoilt', 1);
      return found;
    };
    const hopeless = client.update(tallyContract, 'spoilt', () => ({ action: 'add', data: { by: 1 } }), {
      maxTries: 3,
    });
    await expect(hopeless).rejects.toMatchObject({ code: 'contended', details: { entityId: 'spoilt', tries: 3 } });
    await client.close();
  });
});

describe('get', () => {
  test('answers undefined for what never was, and for what was deleted', async () => {
    expect(await mesh.get(tallyContract, 'never')).toBeUndefined();
    await open('gone');
    await close('gone');
    expect(await mesh.get(tallyContract, 'gone')).toBeUndefined();
  });

  test('with minVersion is at least as new as that, whichever replica answers', async () => {
    await open('fresh');
    for (let i = 1; i <= 50; i++) {
      const version = await add('fresh', 1);
      expect(await mesh.get(tallyContract, 'fresh', { minVersion: version })).toMatchObject({
        entity_version: version,
        state: { n: i },
      });
    }
  });

  test('waits with minVersion until the entity gets that far', async () => {
    await open('awaited');
    const coming = mesh.get(tallyContract, 'awaited', { minVersion: 4 });
    for (let i = 0; i < 3; i++) await add('awaited', 1);
    expect(await coming).toMatchObject({ entity_version: 4, state: { n: 3 } });
  });

  test('throws for a version that does not come', async () => {
    const client = await connectMesh({ servers: server.url, timeoutMs: 300 });
    const future = client.get(tallyContract, 'fresh', { minVersion: 1_000_000 });
    await expect(future).rejects.toThrow(MeshError);
    await expect(future).rejects.toMatchObject({ code: expect.stringMatching(/^(unavailable|timeout)$/) });
    await client.close();
  });
});

describe('history', () => {
  test('I1: pages of every size over 150 versions are exact, newest first, deletes included', async () => {
    await open('long', 'first life');
    for (let i = 2; i <= 80; i++) await add('long', i);
    await close('long');
    await open('long', 'second life');
    for (let i = 83; i <= 150; i++) await add('long', i);
    const all = Array.from({ length: 150 }, (_, index) => 150 - index);

    for (const limit of [1, 7, 31, 32, 33, 50, 64, 100, 149, 150, 1_000]) {
      const versions: number[] = [];
      // A page of one is tried over the first stride only.
      const end = limit === 1 ? 40 : 150;
      for (let before: number | undefined; versions.length < end;) {
        const page = await mesh.history(tallyContract, 'long', { limit, ...(before && { beforeVersion: before }) });
        expect(page.events).toHaveLength(Math.min(limit, 150 - versions.length));
        versions.push(...page.events.map((event) => event.entity_version));
        before = versions.at(-1);
      }
      expect({ limit, versions }).toEqual({ limit, versions: all.slice(0, versions.length) });
    }
    expect((await mesh.history(tallyContract, 'long')).events).toHaveLength(50);
    expect((await mesh.history(tallyContract, 'long', { beforeVersion: 1 })).events).toEqual([]);
  }, 60_000);

  test('each event is told as it was emitted', async () => {
    await open('told', 'hello');
    await add('told', 5);
    await close('told');
    const { events } = await mesh.history(tallyContract, 'told');
    expect(events).toEqual(
      [
        { event: 'evt.tally.closed', entity_version: 3, state: null },
        { event: 'evt.tally.added', entity_version: 2, state: { n: 5, note: 'hello' }, data: { by: 5 } },
        { event: 'evt.tally.opened', entity_version: 1, state: { n: 0, note: 'hello' } },
      ].map((event) => ({ ...event, time: expect.any(String), command_id: expect.any(String) })),
    );
    const times = events.map(({ time }) => time);
    expect(times.toSorted().toReversed()).toEqual(times);
    expect((await mesh.history(tallyContract, 'nobody')).events).toEqual([]);
  });

  test('is exact while others write', async () => {
    await open('busy');
    const writing = Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let i = 0; i < 200; i++) await add('busy', 1);
      }),
    );
    for (let read = 0; read < 20; read++) {
      const versions = (await mesh.history(tallyContract, 'busy', { limit: 1_000 })).events.map(
        (e) => e.entity_version,
      );
      expect(versions).toEqual(Array.from({ length: versions.length }, (_, index) => versions.length - index));
    }
    await writing;
  }, 60_000);
});

describe('list', () => {
  const odd = [
    'odd/ ',
    'odd/.',
    'odd/*',
    'odd/>',
    'odd/%',
    'odd/%41',
    'odd/A',
    'odd/a.b.c',
    'odd/ä',
    'odd/日本',
    'odd/🙂',
    'odd/\u{ffff}',
    'odd/__proto__',
    'odd/constructor',
    'odd/"quoted"\\',
    'odd/line\nbreak',
    `odd/${'x'.repeat(252)}`,
  ];
  const plain = Array.from({ length: 233 }, (_, index) => `plain/${index}`);
  const all = [...odd, ...plain].toSorted((a, b) => (a < b ? -1 : 1));

  beforeAll(async () => {
    await Promise.all(all.map((id) => open(id, id)));
    const closed = Array.from({ length: 30 }, (_, index) => `plain/closed-${index}`);
    await Promise.all(closed.map((id) => open(id)));
    await Promise.all(closed.map(close));
    // One that was closed and lives again, at a later version.
    await close('plain/7');
    await open('plain/7', 'plain/7');
  });

  async function pages(options: { limit?: number; prefix?: string; after?: string }): Promise<string[][]> {
    const found: string[][] = [];
    for (let after = options.after; ;) {
      const page = await mesh.list(tallyContract, { ...options, ...(after === undefined ? {} : { after }) });
      found.push(page.entities.map((entity) => entity.entity_id));
      for (const entity of page.entities) {
        expect(entity).toEqual({
          entity_id: entity.entity_id,
          entity_version: entity.entity_id === 'plain/7' ? 3 : 1,
          state: { n: 0, note: entity.entity_id },
        });
      }
      if (page.next === undefined) return found;
      after = page.next;
    }
  }

  test.each([1, 16, 17, 100, 1_000])(
    'pages of %i go through 250 live entities in the order of their ids',
    async (limit) => {
      // One by one only through the odd ones: each page walks the whole index.
      const wanted = limit === 1 ? odd.toSorted((a, b) => (a < b ? -1 : 1)) : all;
      const found = [
        ...(limit === 1 ? [] : await pages({ limit, prefix: 'plain/' })),
        ...(await pages({ limit, prefix: 'odd/' })),
      ];
      expect(found.flat().toSorted((a, b) => (a < b ? -1 : 1))).toEqual(wanted);
      const groups = [
        found.filter((page) => page[0]?.startsWith('odd/')),
        found.filter((page) => page[0]?.startsWith('plain/')),
      ];
      for (const group of groups) {
        expect(group.flat().toSorted((a, b) => (a < b ? -1 : 1))).toEqual(group.flat());
        // Every page but the last is full, and the last is not empty: no page leads nowhere.
        expect(group.slice(0, -1).every((page) => page.length === limit)).toBe(true);
        if (group.length > 0) expect(group.at(-1)?.length).toBeGreaterThan(0);
      }
    },
  );

  test('after and prefix cut exactly', async () => {
    expect((await pages({ prefix: 'plain/23' })).flat()).toEqual(['plain/23', 'plain/230', 'plain/231', 'plain/232']);
    expect((await pages({ prefix: 'plain/23', after: 'plain/230' })).flat()).toEqual(['plain/231', 'plain/232']);
    expect((await pages({ prefix: 'plain/', after: 'plain/98' })).flat()).toEqual(['plain/99']);
    expect((await pages({ prefix: 'odd/%' })).flat()).toEqual(['odd/%', 'odd/%41']);
    expect((await pages({ prefix: 'odd/*' })).flat()).toEqual(['odd/*']);
    expect((await pages({ prefix: 'none/' })).flat()).toEqual([]);
    expect((await mesh.list(tallyContract, { prefix: 'plain/', after: 'plain/98' })).next).toBeUndefined();
    expect((await mesh.list(tallyContract)).entities).toHaveLength(100);
  });
});
