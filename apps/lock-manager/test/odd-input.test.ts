/**
 * Hunts names and numbers at the edge of what the protocol allows that break a lease: resources that look like subjects,
 * owners that look like headers or fill them, times at their bounds, leases that are refreshed without end.
 */
import { EntityId, HEADERS, LIMITS } from '@meshforge/protocol';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { byEntity, readCommits, type Commit } from '../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../packages/runtime/test/support/until.ts';
import { sendCommand, sendQuery, type RawReply } from '../../../packages/runtime/test/support/wire.ts';
import { flawsOf } from './support/lease-history.ts';
import { startMesh, startReplica, type Mesh } from './support/lock-manager.ts';
import {
  acquire,
  denial,
  endOf,
  followEvents,
  lease,
  LOCKS,
  readLock,
  refresh,
  release,
  success,
  type Announced,
  type Connection,
} from './support/locks.ts';

// For machines that are slow and shared; nothing is measured.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** The server takes no message with more bytes of headers. */
const HEADER_BYTES = 65_535;

let mesh: Mesh;
let nats: Connection;
let announced: Announced;

beforeAll(async () => {
  mesh = await startMesh();
  nats = mesh.connection;
  announced = await followEvents(nats);
});

afterAll(async () => {
  await mesh.stop();
});

function lastMessage(commits: readonly Commit[], resource: string): Commit {
  const last = byEntity(commits).get(resource)?.at(-1);
  if (last === undefined) throw new Error(`${JSON.stringify(resource)} is not in the stream`);
  return last;
}

function headerBytes({ headers }: Commit): number {
  const lines = headers.keys().flatMap((key) => headers.values(key).map((value) => `${key}: ${value}\r\n`));
  return Buffer.byteLength(`NATS/1.0\r\n${lines.join('')}\r\n`);
}

const ODD_RESOURCES = [
  '.',
  '..',
  '*',
  '>',
  'a.b.acquired',
  'ent.lock.x.acquired',
  '$JS.API.STREAM.DELETE.ENTITIES_lock',
  ' ',
  'two words',
  '\r\nNats-Msg-Id: forged',
  '\u0000',
  '%2E',
  '%',
  'a%',
  '"{}"',
  'ünïcödé',
  '错误',
  '😀'.repeat(LIMITS.entityIdCharacters),
  '\u0001'.repeat(LIMITS.entityIdCharacters),
  'x'.repeat(LIMITS.entityIdCharacters),
  'A',
  'a',
  '-_-',
  '__proto__',
  'constructor',
];

test('a resource may have any name: it is locked, told, refreshed, released and expires like every other', async () => {
  const use = async (resource: string): Promise<void> => {
    const granted = lease(await acquire(nats, resource, 'ann', { ttl: 60_000 }));
    expect(granted.entity_id).toBe(resource);
    expect(denial(await acquire(nats, resource, 'bob')).entity_id).toBe(resource);
    const token = granted.state.fencing_token;
    lease(await refresh(nats, resource, 'ann', { token, ttl: 60_000 }));
    expect(await readLock(nats, resource)).toMatchObject({ entity_id: resource, entity_version: 2 });
    success(await release(nats, resource, 'ann', { token }), 'released');
    const short = lease(await acquire(nats, resource, 'bob', { ttl: 500 }));
    expect(short).toMatchObject({ entity_id: resource, entity_version: 4 });
    expect(short.state.fencing_token).toBeGreaterThan(token);
    await until(`the lease of ${JSON.stringify(resource)} expires`, () =>
      announced.changes(resource).some(({ event }) => event === 'expired'),
    );
    expect((await readLock(nats, resource)).state.owner_id).toBeNull();
  };
  await Promise.all(ODD_RESOURCES.map(use));
  const { body } = await sendQuery(nats, LOCKS, 'list', { limit: 1_000 });
  const listed = (body['entities'] as { entity_id: string }[]).map(({ entity_id: id }) => id);
  expect(listed).toEqual(expect.arrayContaining(ODD_RESOURCES));
});

test('two owners, however alike, are two owners', async () => {
  const owners = ['ann', 'Ann', ' ann', 'ann ', 'ann\n', 'ann\u0000', 'a\u0301nn', 'ánn', 'ann\u200b', '"ann"'];
  for (const [i, owner] of owners.entries()) {
    const resource = `alike-${i}`;
    expect(lease(await acquire(nats, resource, owner)).state.owner_id).toBe(owner);
    for (const other of owners.filter((each) => each !== owner)) {
      const denied = denial(await acquire(nats, resource, other));
      expect(denied).toMatchObject({ code: 'held', owner_id: other, current_owner_id: owner });
      expect(denial(await release(nats, resource, other)).code).toBe('not_holder');
    }
    success(await release(nats, resource, owner), 'released');
  }
});

test('any owner can hold, refresh, retry and release, and is told as it was given', async () => {
  const owner = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 256 }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
    fc.string({
      unit: fc.constantFrom('"', '\\', '\r\n', '\u0000', '\u0085', '\u2028', '\ufeff', ':', '😀'),
      minLength: 1,
      maxLength: 128,
    }),
  );
  let resources = 0;
  await fc.assert(
    fc.asyncProperty(
      owner.filter((text) => EntityId.safeParse(text).success),
      async (text) => {
        const resource = `any-owner-${resources++}`;
        const commandId = `${resource}-id`;
        const granted = await acquire(nats, resource, text, { commandId });
        expect(lease(granted).state.owner_id).toBe(text);
        expect(denial(await acquire(nats, resource, 'x'.repeat(256))).current_owner_id).toBe(text);
        lease(await refresh(nats, resource, text));
        expect(await acquire(nats, resource, text, { commandId })).toMatchObject({
          replayed: true,
          payload: granted.payload,
        });
        expect((await readLock(nats, resource)).state.owner_id).toBe(text);
        success(await release(nats, resource, text), 'released');
      },
    ),
    { numRuns: 60 },
  );
});

const FULL = LIMITS.entityIdCharacters;
const LONG_OWNERS: [name: string, owner: string][] = [
  ['letters', 'x'.repeat(FULL)],
  ['quotes', '"'.repeat(FULL)],
  ['emoji', '😀'.repeat(FULL)],
  ['line ends', '\r\n'.repeat(FULL / 2)],
  ['controls', '\u0000'.repeat(FULL)],
  ['ideographs', '错'.repeat(FULL)],
  ['controls and emoji', '\u0000'.repeat(147) + '😀'.repeat(FULL - 147)],
];

/** An id as long as an id may be. */
function longId(start: string): string {
  return start + '😀'.repeat(LIMITS.idHeaderCharacters - start.length);
}

const trace = 'x'.repeat(LIMITS.traceHeaderBytes);
const longHeaders = {
  [HEADERS.correlationId]: longId('correlation'),
  [HEADERS.causationId]: longId('causation'),
  [HEADERS.traceparent]: trace,
  [HEADERS.tracestate]: trace,
  [HEADERS.baggage]: trace,
};

describe.each(LONG_OWNERS)('an owner of 256 %s, with resource and headers as long as may be', (name, owner) => {
  const resource = `${name} ${'😀'.repeat(FULL - name.length - 1)}`;
  const headers = longHeaders;

  test('can refresh 40 times and still retry: all headers stay below what the server takes', async () => {
    const outcomes = [await acquire(nats, resource, owner, { commandId: longId(`${name} 0`), headers })];
    const { fencing_token } = lease(outcomes[0] as RawReply).state;
    for (let i = 1; i <= 40; i++) {
      const commandId = longId(`${name} ${i}`);
      const reply = await refresh(nats, resource, owner, { commandId, headers, ttl: 60_000 + i });
      expect(lease(reply)).toMatchObject({ entity_version: i + 1, state: { owner_id: owner, fencing_token } });
      outcomes.push(reply);
    }
    const stored = lastMessage(await readCommits(nats, LOCKS), resource);
    expect(stored.version).toBe(41);
    expect(headerBytes(stored)).toBeLessThan(HEADER_BYTES);
    for (const [i, first] of outcomes.slice(-20).entries()) {
      const ttl = 60_000 + outcomes.length - 20 + i;
      const again = await refresh(nats, resource, owner, { commandId: first.commandId, headers, ttl });
      expect(again).toMatchObject({ replayed: true, event: first.event, payload: first.payload });
    }
  });

  test('is told in full when the lease expires, and followed by a higher token', async () => {
    const last = lease(await refresh(nats, resource, owner, { headers, ttl: 500 }));
    await until('the lease expires', () => announced.changes(resource).at(-1)?.event === 'expired');
    expect(announced.changes(resource).at(-1)?.payload).toEqual(last);
    const next = lease(await acquire(nats, resource, 'ann', { headers }));
    expect(next.state.owner_id).toBe('ann');
    expect(next.state.fencing_token).toBeGreaterThan(last.state.fencing_token);
  });
});

describe('a lease', () => {
  test('lasts from 500 ms to a day, and no command makes it shorter or longer', async () => {
    for (const ttl of [500, 86_400_000]) {
      const granted = lease(await acquire(nats, `bound-${ttl}`, 'ann', { ttl }));
      expect(endOf(granted) - Date.parse(granted.state.acquired_at)).toBe(ttl);
    }
    for (const ttl of [-1, 0, 499, 500.5, 86_400_001, '500', null, 1e308]) {
      for (const action of ['acquire', 'refresh']) {
        const data = { owner_id: 'ann', ttl_ms: ttl };
        const reply = await sendCommand(nats, LOCKS, action, { entityId: 'bound-86400000', data });
        expect(reply).toMatchObject({ event: 'evt.lock.rejected', payload: { code: 'invalid_command' } });
      }
    }
    expect((await readLock(nats, 'bound-86400000')).entity_version).toBe(1);
  });

  test('that is refreshed 1,500 times has one message in the stream, every version once, and its first token', async () => {
    const resource = 'heartbeat';
    const { state: first } = lease(await acquire(nats, resource, 'ann', { ttl: 60_000 }));
    const token = first.fencing_token;
    for (let i = 0; i < 30; i++) {
      await Promise.all(Array.from({ length: 50 }, () => refresh(nats, resource, 'ann', { token, ttl: 60_000 })));
    }
    const held = await readLock(nats, resource);
    expect(held).toEqual({
      entity_id: resource,
      entity_version: 1_501,
      state: { ...first, expires_at: held.state.expires_at },
    });
    const stored = byEntity(await readCommits(nats, LOCKS)).get(resource) ?? [];
    expect(stored.map(({ version }) => version)).toEqual([1_501]);
    await until('all its versions are announced', () => announced.changes(resource).length === 1_501);
    const short = lease(await refresh(nats, resource, 'ann', { ttl: 500 }));
    await until('it expires', () => announced.changes(resource).at(-1)?.event === 'expired');
    expect(announced.changes(resource).at(-1)?.payload).toEqual(short);
  });
});

test('the refusal of a long owner is no longer than a refusal may be', async () => {
  const [ann, bob] = ['\u0000'.repeat(FULL), '\u0001'.repeat(FULL)];
  lease(await acquire(nats, 'long refusal', ann));
  for (const send of [acquire, refresh, release]) {
    expect(denial(await send(nats, 'long refusal', bob)).reason.length).toBeLessThanOrEqual(LIMITS.reasonCharacters);
  }
});

test('a replica that meets these locks for the first time reads them as they are', async () => {
  const before = await Promise.all(ODD_RESOURCES.map((resource) => readLock(nats, resource)));
  await Promise.all(mesh.replicas.map((agent) => agent.stop()));
  mesh.replicas.push(await startReplica(mesh.server.url));
  expect(await Promise.all(ODD_RESOURCES.map((resource) => readLock(nats, resource)))).toEqual(before);
  expect(lease(await acquire(nats, '😀'.repeat(FULL), 'cy'))).toMatchObject({ entity_version: 5 });
});

test('the log that all of this left is without a flaw (I1, I7)', () => {
  expect(flawsOf(announced.changes())).toEqual([]);
});
