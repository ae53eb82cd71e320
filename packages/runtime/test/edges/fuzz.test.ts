// Hunts for whatever nobody thought of: thousands of random and mutated bodies, headers, subjects and reply subjects at
// once. Every request with an inbox gets exactly one answer, and the log holds commits and nothing else.
import { InventoryState, LockState, parseSubject, type JsonObject } from '@meshforge/protocol';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectEachOnce, expectGapless, readCommits } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { sendCommand } from '../support/wire.ts';
import { AGENTS, startMesh, type AgentSpec, type Mesh } from './support/mesh.ts';
import { headerBlock, type Bytes, type RawMessage } from './support/raw-client.ts';

const RUNS = 20;
const MESSAGES = 400;

let mesh: Mesh;
/** Answers by inbox. */
const answers = new Map<string, number>();

beforeAll(async () => {
  mesh = await startMesh();
  mesh.client.subscribe('_INBOX.fuzz.*', {
    callback: (_, { subject }) => {
      answers.set(subject, (answers.get(subject) ?? 0) + 1);
    },
  });
  await mesh.client.flush();
});

afterAll(async () => {
  await mesh?.stop();
});

const anyBytes = fc.uint8Array({ maxLength: 200 });
const anyText = fc.string({ unit: 'binary', maxLength: 40 });
const entityId = fc.oneof({ weight: 8, arbitrary: fc.constantFrom('a', 'b', 'c', 'd.e', '*', '😀') }, anyText);
const version = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  { weight: 3, arbitrary: fc.nat(5) },
  { weight: 1, arbitrary: fc.double() },
);

const DATA: Readonly<Record<string, Readonly<Record<string, fc.Arbitrary<JsonObject>>>>> = {
  inventory: {
    create: fc.record({ name: anyText, quantity: fc.nat(100) }, { requiredKeys: ['name'] }),
    update: fc.record({ name: anyText, quantity: fc.integer({ min: -5, max: 50 }) }, { requiredKeys: [] }),
    adjust: fc.record({ delta: fc.integer({ min: -20, max: 20 }) }),
    reserve: fc.record({ order_id: entityId, quantity: fc.integer({ min: 0, max: 20 }) }),
    release: fc.record({ order_id: entityId }),
    fulfil: fc.record({ order_id: entityId }),
    delete: fc.constant({}),
  },
  sys_lock_manager: {
    acquire: fc.record(
      { owner_id: entityId, ttl_ms: fc.integer({ min: 400, max: 2_000 }) },
      { requiredKeys: ['owner_id'] },
    ),
    refresh: fc.record(
      { owner_id: entityId, fencing_token: fc.integer({ min: 0, max: 9 }) },
      { requiredKeys: ['owner_id'] },
    ),
    release: fc.record({ owner_id: entityId }),
  },
};

function goodBody(data: fc.Arbitrary<JsonObject>): fc.Arbitrary<Buffer> {
  return fc
    .record({ entity_id: entityId, expected_version: version, data })
    .map((command) => Buffer.from(JSON.stringify(command)));
}

/** A body with some of its bytes overwritten, taken out or doubled. */
function mutated(body: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const edit = fc.record({ at: fc.nat(200), bytes: fc.uint8Array({ maxLength: 4 }), skip: fc.nat(4) });
  return fc.tuple(body, fc.array(edit, { minLength: 1, maxLength: 3 })).map(([bytes, edits]) =>
    edits.reduce((text, { at, bytes: put, skip }) => {
      const place = at % (text.length + 1);
      return Buffer.concat([text.subarray(0, place), put, text.subarray(place + skip)]);
    }, bytes),
  );
}

const headerName = fc.constantFrom(
  'Mesh-Command-Id',
  'Mesh-Correlation-Id',
  'Mesh-Causation-Id',
  'Mesh-Recent',
  'traceparent',
  'baggage',
  'Nats-Msg-Id',
  'Nats-Rollup',
  'Nats-Expected-Last-Subject-Sequence',
  'Nats-TTL',
  'Nats-Schedule',
);
const headerLine = fc.oneof(
  // Few values: the same command id comes again with another command.
  fc
    .tuple(headerName, fc.constantFrom('1', '2', 'sub', 'all', '@every 1s'))
    .map(([name, value]) => `${name}: ${value}`),
  fc.tuple(headerName, anyText).map(([name, value]) => `${name}: ${value}`),
  fc.tuple(anyText, anyText).map(([name, value]) => `${name}:${value}`),
  anyBytes,
);
const headers: fc.Arbitrary<Bytes | undefined> = fc.oneof(
  { weight: 8, arbitrary: fc.constant(undefined) },
  { weight: 6, arbitrary: fc.array(headerLine, { maxLength: 4 }).map((lines) => headerBlock(...lines)) },
  { weight: 1, arbitrary: anyBytes.map((bytes) => Buffer.concat([Buffer.from('NATS/1.0'), bytes])) },
  { weight: 1, arbitrary: anyBytes },
);

/** One token, in bytes that the server takes as such. */
const anyToken = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((bytes) => Buffer.from(bytes.filter((byte) => ![0x09, 0x0a, 0x0d, 0x20, 0x2e].includes(byte))))
  .filter((bytes) => bytes.length > 0);

interface Fuzzed extends RawMessage {
  /** Whether it gets an inbox of its own. */
  asks: boolean;
}

function messageTo({ name, token }: AgentSpec): fc.Arbitrary<Fuzzed> {
  const actions = Object.entries(DATA[name] ?? {});
  const known = fc.oneof(
    ...actions.map(([action, data]) => {
      const good = goodBody(data);
      // Mostly good ones, so that the bad ones meet entities that live and locks that are held.
      const body = fc.oneof(
        { weight: 7, arbitrary: good },
        { weight: 2, arbitrary: mutated(good) },
        { weight: 1, arbitrary: anyBytes },
        { weight: 1, arbitrary: fc.json().map((text) => Buffer.from(text)) },
      );
      return fc.record({ subject: fc.constant(`cmd.${token}.${action}`), body });
    }),
  );
  const query = fc.record({
    subject: fc.constantFrom('get', 'history', 'list').map((kind) => `qry.${token}.${kind}`),
    body: fc.oneof(
      entityId.map((id) => Buffer.from(JSON.stringify({ entity_id: id }))),
      mutated(entityId.map((id) => Buffer.from(JSON.stringify({ entity_id: id, limit: 5 })))),
      anyBytes,
    ),
  });
  const unknown = fc.record({
    subject: fc
      .tuple(fc.constantFrom('cmd', 'qry'), anyToken)
      .map(([kind, last]) => Buffer.concat([Buffer.from(`${kind}.${token}.`), last])),
    body: anyBytes,
  });
  const told = fc.oneof(
    { weight: 6, arbitrary: known },
    { weight: 2, arbitrary: query },
    { weight: 1, arbitrary: unknown },
  );
  // A few name what is no inbox of theirs, or nothing.
  const elsewhere = fc.constantFrom(
    '',
    `ent.${token}.forged.created`,
    `evt.${token}.created`,
    '_INBOX.*',
    '_INBOX.\u0007',
  );
  return fc
    .record({ told, headers, reply: fc.option(elsewhere, { freq: 5, nil: undefined }) })
    .map(({ told: { subject, body }, headers: block, reply }): Fuzzed => ({
      subject,
      body,
      headers: block,
      reply,
      asks: reply === undefined,
    }));
}

let inboxes = 0;

test.each(AGENTS)(
  'I2 I8: of thousands of random messages to $name each request is answered once, and the log holds commits only',
  async (spec) => {
    const { client, raw } = mesh;
    const batch = fc.array(messageTo(spec), { minLength: MESSAGES, maxLength: MESSAGES, size: 'max' });
    await fc.assert(
      fc.asyncProperty(batch, async (messages) => {
        const asked: string[] = [];
        for (const message of messages) {
          const inbox = `_INBOX.fuzz.${++inboxes}`;
          if (message.asks) asked.push(inbox);
          raw.publish({ ...message, reply: message.asks ? inbox : message.reply });
        }
        await raw.flush();
        const unanswered = (): string[] => asked.filter((inbox) => !answers.has(inbox));
        await until(
          () => `${unanswered().length} of ${asked.length} requests are answered`,
          () => unanswered().length === 0,
        );
        const { action, data, event } = spec.good;
        const next = await sendCommand(client, spec.name, action, { entityId: `next-${++inboxes}`, data });
        expect(next.event).toBe(`evt.${spec.token}.${event}`);
        expect(asked.filter((inbox) => answers.get(inbox) !== 1)).toEqual([]);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );

    const commits = await readCommits(client, spec.name);
    // Leases roll up, so what was committed is told by the sequences, not by what is left of them.
    const committed = Math.max(...commits.map(({ sequence }) => sequence));
    const ours = commits.filter(({ entityId: id }) => id.startsWith('next-')).length;
    expect(committed - ours, 'random messages that were committed').toBeGreaterThan(RUNS);
    expectEachOnce(commits.filter(({ event }) => event !== 'expired'));
    const state = spec.name === 'inventory' ? InventoryState : LockState;
    for (const commit of commits) {
      expect(parseSubject(commit.subject)).toMatchObject({ kind: 'entity', agent: spec.token });
      if (commit.state !== null) state.parse(commit.state);
      const names = commit.headers.keys().filter((name) => !/^(?:Nats|Mesh)-|^(?:traceparent|baggage)$/.test(name));
      expect(names).toEqual([]);
    }
    // Refreshed leases keep only their last message.
    if (spec.name === 'inventory') expectGapless(commits);

    const agent = mesh.agents.get(spec.name);
    expect(agent?.log).not.toMatch(/could not be handled|reader closed|disconnected/);
  },
  120_000,
);
