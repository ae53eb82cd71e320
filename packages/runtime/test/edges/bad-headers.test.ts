// Hunts for headers of callers that reach the log, forge what the agent says, or deafen it: a client that reads a header
// block which no client would write throws, and whoever throws while it reads a connection reads it no more.
import { HEADERS, LIMITS } from '@meshforge/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_COMMANDS, recentHeader } from '../../src/core/recent.ts';
import { readCommits, type Commit } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { AGENTS, startMesh, type AgentSpec, type Mesh } from './support/mesh.ts';
import { headerBlock, type Bytes } from './support/raw-client.ts';
import { expectRefused, expectRefusedInSilence, Target, type Expected, type Heard } from './support/target.ts';

let mesh: Mesh;
const targets = new Map<string, Target>();
const events: Heard[] = [];

beforeAll(async () => {
  mesh = await startMesh();
  for (const spec of AGENTS) targets.set(spec.name, await Target.open(mesh, spec));
  mesh.client.subscribe('evt.>', {
    callback: (_, message) => {
      const { data, headers, subject } = message;
      events.push({ subject, headers, body: message.json(), bytes: data.length });
    },
  });
  await mesh.client.flush();
});

afterAll(async () => {
  await mesh?.stop();
});

const targetOf = ({ name }: AgentSpec): Target => targets.get(name) as Target;

/** Sends a good command with these headers, which must succeed once; answers all that tells of it. */
async function commitWith(
  spec: AgentSpec,
  entityId: string,
  headers: Bytes,
): Promise<{ reply: Heard; commit: Commit; event: Heard }> {
  const target = targetOf(spec);
  const { replies, signals, written } = await target.shoot({ headers, body: target.body({ entity_id: entityId }) });
  expect(signals).toEqual([]);
  expect(written).toBe(1);
  expect(replies).toHaveLength(1);
  const [reply] = replies as [Heard];
  expect(reply.body['event']).toBe(`evt.${spec.token}.${spec.good.event}`);
  const commits = (await readCommits(mesh.client, spec.name)).filter((commit) => commit.entityId === entityId);
  expect(commits).toHaveLength(1);
  const event = await until('the event is announced', () =>
    events.find(({ body, subject }) => subject === reply.body['event'] && body['entity_id'] === entityId),
  );
  return { reply, commit: commits[0] as Commit, event };
}

const longest = LIMITS.idHeaderCharacters;

/** Values that no id header can have. */
const BAD_IDS: readonly (readonly [what: string, value: Bytes])[] = [
  ['nothing', ''],
  ['blanks', '   '],
  ['129 characters', 'x'.repeat(longest + 1)],
  ['129 emoji', '😀'.repeat(longest + 1)],
  ['60,000 characters', 'x'.repeat(60_000)],
  ['a NUL', 'a\u0000b'],
  ['a tab', 'a\tb'],
  ['an escape sequence', '\u001b[2J'],
  ['a DEL', 'a\u007fb'],
  ['a C1 control', 'a\u0085b'],
];

/** Blocks that the client's parser throws at. */
const UNREADABLE: readonly (readonly [what: string, block: Bytes])[] = [
  ['a name with a space', headerBlock('Bad Name: v')],
  ['a name of controls', headerBlock('\u0001\u0002: v')],
  ['a name beyond ASCII', headerBlock('Größe: v')],
  ['a name that is no UTF-8', headerBlock(new Uint8Array([0xff, 0xfe, 0x3a, 0x20, 0x76]))],
  ['a line feed in a value', headerBlock('Mesh-Command-Id: a\nNats-Msg-Id: b')],
  ['a carriage return in a value', headerBlock('Mesh-Correlation-Id: a\rb')],
  ['a folded line', headerBlock('Mesh-Command-Id: a', ' b: c')],
];

/** Blocks that say nothing, or what only servers say. */
const STRANGE_BLOCKS: readonly (readonly [what: string, block: Bytes])[] = [
  ['an empty block', headerBlock()],
  ['a status', 'NATS/1.0 503\r\n\r\n'],
  ['a status with a text', 'NATS/1.0 408 Request Timeout\r\n\r\n'],
  ['a line without a colon', headerBlock('nothing')],
  ['a line that is only a colon', headerBlock(':')],
  ['no end', 'NATS/1.0\r\nMesh-Causation-Id: x'],
  ['a thousand headers', headerBlock(...Array.from({ length: 1_000 }, (_, i) => `X-${i}: ${i}`))],
];

describe.each(AGENTS)('$name', (spec) => {
  const refusedFor = (path: string): Expected => ({ code: 'invalid_command', paths: [path], entityId: 'target' });

  describe.each([HEADERS.commandId, HEADERS.correlationId, HEADERS.causationId])('%s', (name) => {
    test.each(BAD_IDS)('I8: a value of %s is refused, and given back in no header', async (_what, value) => {
      const target = targetOf(spec);
      const headers = headerBlock(Buffer.concat([Buffer.from(`${name}: `), Buffer.from(value)]));
      await expectRefused(target, { headers, body: target.body() }, { ...refusedFor(name), reason: new RegExp(name) });
    });
  });

  test.each(UNREADABLE)('I8: a header block with %s is refused, and nobody goes deaf', async (_what, headers) => {
    const target = targetOf(spec);
    await expectRefused(target, { headers, body: target.body() }, refusedFor('block'));
    const unknown = `cmd.${spec.token}.nothing`;
    await expectRefused(target, { subject: unknown, headers }, { code: 'unknown_action', action: 'nothing' });
  });

  test.each(UNREADABLE)('I8: a query whose header block has %s is answered', async (_what, headers) => {
    const target = targetOf(spec);
    const { replies, written } = await target.shoot({ subject: `qry.${spec.token}.get`, headers, body: target.body() });
    expect(written).toBe(0);
    expect(replies.map(({ body }) => body['event'])).toEqual([`evt.${spec.token}.rejected`]);
  });

  test.each(UNREADABLE)('I6 I8: a header block with %s makes nobody answer into the log', async (_what, headers) => {
    const target = targetOf(spec);
    const reply = `ent.${spec.token}.forged.${spec.good.event}`;
    const body = target.body();
    await expectRefusedInSilence(target, { headers, body }, reply, { code: 'invalid_command' });
    await expectRefusedInSilence(target, { subject: `cmd.${spec.token}.nothing`, headers, body }, reply, {
      code: 'invalid_command',
    });
    for (const subject of [`qry.${spec.token}.get`, `qry.${spec.token}.nothing`, `$SRV.INFO.${spec.name}`]) {
      const { replies, signals, written } = await target.shoot({ subject, headers, body }, { reply });
      expect({ replies, signals, written }, `on ${subject}`).toEqual({ replies: [], signals: [], written: 0 });
    }
  });

  test.each(STRANGE_BLOCKS)('I8: a command whose header block is %s is executed', async (what, headers) => {
    const { commit } = await commitWith(spec, `strange: ${what}`, headers);
    expect(commit.headers.keys().filter((name) => !/^(?:Nats|Mesh)-/.test(name))).toEqual([]);
  });

  test('I6: no Nats-* header of a caller reaches the log, and none changes what is stored', async () => {
    const forged = {
      'Nats-Expected-Last-Subject-Sequence': '999',
      'Nats-Expected-Last-Subject-Sequence-Subject': 'ent.*.*.*',
      'Nats-Expected-Last-Sequence': '999',
      'Nats-Expected-Last-Msg-Id': 'forged',
      'Nats-Expected-Stream': 'OTHER',
      'Nats-Msg-Id': 'forged',
      'Nats-Rollup': 'all',
      'Nats-Schedule': '@at 2030-01-01T00:00:00Z',
      'Nats-Schedule-Target': `ent.${spec.token}.forged.${spec.good.event}`,
      'Nats-Schedule-Next': 'purge',
      'Nats-Scheduler': `ent.${spec.token}.forged.${spec.good.event}`,
      'Nats-TTL': '1s',
      'Nats-Incr': '+1',
      'Nats-Batch-Id': 'forged',
      'Nats-Batch-Sequence': '1',
      'Nats-Stream': 'FORGED',
      'Nats-Sequence': '999',
      'Nats-Service-Error-Code': '400',
      'Mesh-Recent': '[["forged",1,1]]',
      'Mesh-Replayed': 'true',
      'X-Other': 'other',
    };
    const before = (await readCommits(mesh.client, spec.name)).length;
    const block = headerBlock(...Object.entries(forged).map(([name, value]) => `${name}: ${value}`));
    const { commit, event, reply } = await commitWith(spec, 'forged headers', block);

    const own = commit.headers;
    expect(own.get('Nats-Msg-Id')).toBe(reply.headers?.get(HEADERS.commandId));
    expect(own.get('Nats-Expected-Last-Subject-Sequence')).toBe('0');
    expect(own.get('Mesh-Recent')).toBe(recentHeader(NO_COMMANDS));
    expect(commit.version).toBe(1);
    for (const headers of [own, event.headers, reply.headers]) {
      const values = headers?.keys().flatMap((name) => headers.values(name)) ?? [];
      expect(values.filter((value) => Object.values(forged).includes(value))).toEqual([]);
      expect(headers?.has('Mesh-Replayed') ?? false).toBe(false);
    }
    // Nothing was rolled up, nothing scheduled: the probe's commit and this one are there, and all before them.
    expect((await readCommits(mesh.client, spec.name)).length).toBe(before + 2);
  });

  test('I5: a caller who sets only Nats-Msg-Id twice has sent two commands', async () => {
    const block = headerBlock('Nats-Msg-Id: one-and-the-same');
    const first = await commitWith(spec, 'message id 1', block);
    const second = await commitWith(spec, 'message id 2', block);
    expect(first.commit.commandId).not.toBe(second.commit.commandId);
  });

  test('I6: ids and trace headers of a command are on its event and its reply, whatever characters they have', async () => {
    const sent = {
      [HEADERS.commandId]: `ü😀"\\%{}${'x'.repeat(longest - 7 - spec.token.length)}${spec.token}`,
      [HEADERS.correlationId]: '😀'.repeat(longest),
      [HEADERS.causationId]: 'a: b, c',
      [HEADERS.traceparent]: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      [HEADERS.tracestate]: 'vendor=value,other=value',
      [HEADERS.baggage]: `key=${'v'.repeat(LIMITS.traceHeaderBytes - 4)}`,
    };
    const block = headerBlock(...Object.entries(sent).map(([name, value]) => `${name}: ${value}`));
    const { commit, event, reply } = await commitWith(spec, 'all headers', block);
    for (const [name, value] of Object.entries(sent)) {
      expect(event.headers?.get(name), `header ${name}`).toBe(value);
      expect(reply.headers?.get(name), `header ${name}`).toBe(value);
      expect(commit.headers.get(name), `header ${name}`).toBe(value);
    }
  });

  test('I8: a trace header that is junk is dropped, and the command executed', async () => {
    const junk = ['', ' ', 'a\u0001b', 'ü', '\u007f', 'x'.repeat(LIMITS.traceHeaderBytes + 1), 'a\tb'];
    for (const [i, value] of junk.entries()) {
      const names = [HEADERS.traceparent, HEADERS.tracestate, HEADERS.baggage];
      const block = headerBlock(...names.map((name) => `${name}: ${value}`));
      const { event, reply } = await commitWith(spec, `junk ${i}`, block);
      for (const name of names) {
        expect(event.headers?.has(name), `for ${JSON.stringify(value)}`).toBe(false);
        expect(reply.headers?.has(name), `for ${JSON.stringify(value)}`).toBe(false);
      }
    }
  });
});

test('I8: after all this both agents are connected as they were at the start', () => {
  for (const agent of mesh.agents.values()) {
    expect(agent.log).not.toMatch(/could not be handled|reader closed|disconnected/);
  }
});
