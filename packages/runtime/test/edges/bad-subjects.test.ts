// Hunts for ways to make an agent write what a caller chose, where a caller chose: reply subjects that lead into its log,
// into events, into JetStream, or that break the protocol line with which it answers.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HEADERS, LIMITS } from '@meshforge/protocol';
import { sendQuery } from '../support/wire.ts';
import { AGENTS, INVENTORY, startMesh, type AgentSpec, type Mesh } from './support/mesh.ts';
import type { Bytes } from './support/raw-client.ts';
import { expectRefused, expectRefusedInSilence, Target } from './support/target.ts';

let mesh: Mesh;
const targets = new Map<string, Target>();
/** Subjects that got an answer and are no inbox. */
const strays: string[] = [];
/** To a command, to discovery, to a query. */
const ANSWER = /^\{"event":|"io\.nats\.micro|^\{"(?:events|entities)":/;

beforeAll(async () => {
  mesh = await startMesh();
  for (const spec of AGENTS) targets.set(spec.name, await Target.open(mesh, spec));
  const forged = new Set(
    AGENTS.flatMap((spec) => NO_INBOXES.map(([, replyOf]) => Buffer.from(replyOf(spec)).toString())),
  );
  mesh.client.subscribe('>', {
    callback: (_, message) => {
      const { headers, subject } = message;
      const isAnswer = headers?.has(HEADERS.errorCode) === true || ANSWER.test(message.string());
      if (isAnswer && (!subject.startsWith('_INBOX') || forged.has(subject))) strays.push(subject);
    },
  });
  await mesh.client.flush();
});

afterAll(async () => {
  await mesh?.stop();
});

const targetOf = ({ name }: AgentSpec): Target => targets.get(name) as Target;

const NO_INBOXES: readonly (readonly [what: string, reply: (spec: AgentSpec) => Bytes])[] = [
  ['the log of an entity', ({ token, good }) => `ent.${token}.x.${good.event}`],
  ["the log of another agent's entity", () => 'ent.other.x.created'],
  ['an event', ({ token, good }) => `evt.${token}.${good.event}`],
  ['a signal', ({ token }) => `evt.${token}.denied`],
  ['a command', ({ token }) => `cmd.${token}.nothing`],
  ['an order to JetStream', ({ token }) => `$JS.API.STREAM.PURGE.ENTITIES_${token}`],
  ['a subject that only looks like an inbox', () => 'x._INBOX.y'],
  ['an inbox in lower case', () => '_inbox.x'],
  ['all inboxes', () => '_INBOX.>'],
  ['any inbox', () => '_INBOX.*'],
  ['an inbox of 2,000 characters', () => `_INBOX.${'x'.repeat(2_000)}`],
  // Each byte of it becomes three once it is decoded, too many for the line of the agent's answer.
  [
    'an inbox of 2,000 bytes that are no UTF-8',
    () => Buffer.concat([Buffer.from('_INBOX.'), Buffer.alloc(2_000, 0xff)]),
  ],
  ['an inbox of control characters', () => '_INBOX.\u0001\u000b\u007f'],
  ['an inbox in Greek', () => '_INBOX.αβγ'],
];

describe.each(AGENTS)('$name', (spec) => {
  describe.each(NO_INBOXES)('a reply subject that is %s', (_what, replyOf) => {
    const reply = replyOf(spec);

    test('I6 I8: executes no command, is told to all, and gets no answer', async () => {
      const target = targetOf(spec);
      const subjects = [target.subject, `cmd.${spec.token}.nothing`];
      for (const subject of subjects) {
        await expectRefusedInSilence(target, { subject, body: target.body() }, reply, {
          code: 'invalid_command',
          reason: /not an inbox/,
        });
      }
      await expectRefusedInSilence(target, { body: '{' }, reply, { code: 'invalid_command', reason: /not an inbox/ });
    });

    test('I6 I8: gets no answer to a query, nor to discovery', async () => {
      const target = targetOf(spec);
      const asked = ['get', 'history', 'list', 'nothing'].map((kind) => `qry.${spec.token}.${kind}`);
      for (const verb of ['PING', 'INFO', 'STATS']) asked.push(`$SRV.${verb}`, `$SRV.${verb}.${spec.name}`);
      for (const subject of asked) {
        const shot = await target.shoot({ subject, body: '{"entity_id":"target"}' }, { reply });
        expect(shot, `on ${subject}`).toEqual({ replies: [], signals: [], written: 0 });
      }
    });
  });

  test('I8: a command without a reply subject is executed, and nothing is answered', async () => {
    const target = targetOf(spec);
    const before = await target.lastSequence();
    const shot = await target.shoot(
      { body: target.body({ entity_id: 'silent' }) },
      {
        settled: async () => {
          await expect.poll(async () => (await target.lastSequence()) - before, { timeout: 30_000 }).toBe(1);
        },
      },
    );
    expect(shot).toEqual({ replies: [], signals: [], written: 1 });
    const { body } = await sendQuery(mesh.client, spec.name, 'get', { entity_id: 'silent' });
    expect(body).toMatchObject({ entity_id: 'silent', entity_version: 1 });
  });

  test('I8: a bad command without a reply subject is told to all', async () => {
    await expectRefusedInSilence(targetOf(spec), { body: '[]' }, undefined, { code: 'invalid_command', paths: [''] });
  });

  test('I8: queries and discovery without a reply subject do nothing', async () => {
    const target = targetOf(spec);
    for (const subject of [`qry.${spec.token}.get`, `$SRV.PING.${spec.name}`, '$SRV.INFO', '$SRV.STATS']) {
      const shot = await target.shoot({ subject, body: '{' }, {});
      expect(shot, `on ${subject}`).toEqual({ replies: [], signals: [], written: 0 });
    }
  });

  test.each([
    'nothing',
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    'CREATE',
    'query_get',
    '-',
    '%63reate',
  ])('I8: the unknown action %s is refused with those that there are', async (action) => {
    const target = targetOf(spec);
    const { reason } = await expectRefused(
      target,
      { subject: `cmd.${spec.token}.${action}`, body: target.body() },
      { code: 'unknown_action', action, entityId: null },
    );
    expect(reason).toContain(spec.good.action);
  });

  test.each([
    ['wildcards', '*', '*'],
    ['control characters', '\u0001\u001b[2J\u007f', '\\u{1}\\u{1b}[2J\\u{7f}'],
    ['emoji', '😀', '😀'],
    ['4,000 characters', 'a'.repeat(4_000), `${'a'.repeat(LIMITS.nameCharacters)}…`],
    ['4,000 bytes that are no UTF-8', Buffer.alloc(4_000, 0xff), `${'\ufffd'.repeat(LIMITS.nameCharacters)}…`],
  ] as const)('I8: an action of %s is refused in short', async (_what, action, shown) => {
    const target = targetOf(spec);
    const subject = Buffer.concat([Buffer.from(`cmd.${spec.token}.`), Buffer.from(action)]);
    await expectRefused(target, { subject, body: target.body() }, { code: 'unknown_action', action: shown });
  });

  test.each(['nothing', 'constructor', '__proto__', 'a'.repeat(4_000), '\u0001\u001b'])(
    'I8: the unknown query %j is refused in short',
    async (kind) => {
      const target = targetOf(spec);
      const { replies, signals, written } = await target.shoot({ subject: `qry.${spec.token}.${kind}`, body: '{}' });
      expect({ signals, written }).toEqual({ signals: [], written: 0 });
      expect(replies).toHaveLength(1);
      expect(replies[0]?.body['payload']).toMatchObject({ code: 'unknown_action', reason: /get, history or list/ });
      expect(replies[0]?.bytes).toBeLessThan(1_024);
    },
  );
});

test('I8: subjects with more or fewer tokens are nobody’s, so nobody answers', async () => {
  const target = targetOf(INVENTORY);
  for (const subject of ['cmd.inventory', 'cmd.inventory.create.now', 'cmd.nobody.create', 'qry.inventory', 'cmd']) {
    const shot = await target.shoot({ subject, body: target.body() }, { reply: '_INBOX.nobody' });
    expect(shot, `on ${subject}`).toEqual({ replies: [], signals: [], written: 0 });
  }
});

test('I8: with the limit that servers have by default, a client refuses to send 2 MB', () => {
  expect(() => mesh.client.publish('cmd.inventory.create', new Uint8Array(2_000_000))).toThrow(/max_payload/);
});

test('I6 I8: after all this nothing was published to any subject of a caller’s choice, and nobody was disconnected', () => {
  expect(strays).toEqual([]);
  for (const agent of mesh.agents.values()) {
    expect(agent.log).not.toMatch(/could not be handled|reader closed|disconnected/);
  }
});
