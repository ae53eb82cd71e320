/** Hunts held commands that are lost, kept for ever, or made of bytes that no agent wrote. */
import { answeredSubject, heldSubject } from '@meshforge/protocol';
import type { Msg } from '@nats-io/nats-core';
import type { MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Clock } from '../src/clock.ts';
import type { HeldCommand } from '../src/core/companion.ts';
import { digestOf } from '../src/nats/digest.ts';
import { StoredHeldCommands } from '../src/nats/held-commands.ts';
import type { Answer, RequestPort } from '../src/nats/requester.ts';

interface Stored {
  subject: string;
  seq: number;
  data: Uint8Array;
  headers: MsgHdrs | undefined;
}

const clock: Clock = { wall: () => 0, monotonic: () => 0, sleep: () => Promise.resolve(), random: () => 0.5 };

/** A stream that keeps its messages until they are purged, and tells whoever listens. */
class FakeStream implements RequestPort {
  messages: Stored[] = [];
  /** How many requests are lost from now on. */
  lost = 0;
  /** How many acknowledgements of stores are lost from now on. */
  lostAcks = 0;
  /** Nobody hears of what is stored from now on. */
  isDeaf = false;
  readonly #listeners: ((message: Msg) => void)[] = [];
  readonly #ids = new Set<string>();
  #sequence = 0;

  readonly connection = {
    subscribe: (_subject: string, { callback }: { callback: (error: null, message: Msg) => void }) => {
      this.#listeners.push((message) => callback(null, message));
      return { unsubscribe: () => {} };
    },
    publish: (subject: string, data: Uint8Array) => this.tell(subject, data),
  } as never;

  request(subject: string, data: Uint8Array, raw?: MsgHdrs): Promise<Answer> {
    const headers = raw === undefined ? undefined : MsgHdrsImpl.decode((raw as MsgHdrsImpl).encode());
    if (this.lost-- > 0) return Promise.resolve({ kind: 'lost', why: 'test' });
    if (subject.startsWith('$JS.API.STREAM.PURGE')) return Promise.resolve(this.#purge(data));
    if (subject.startsWith('$JS.API.STREAM.INFO')) return Promise.resolve(this.#info());
    if (subject.startsWith('$JS.API')) return Promise.resolve(this.#read(data));
    const expected = headers?.get('Nats-Expected-Last-Subject-Sequence') ?? '';
    const last = this.messages.findLast((message) => message.subject === subject)?.seq ?? 0;
    if (expected !== '' && Number(expected) !== last) {
      return Promise.resolve(answer({ error: { code: 400, err_code: 10071, description: 'wrong last sequence' } }));
    }
    const id = headers?.get('Nats-Msg-Id') ?? '';
    if (this.#ids.has(id)) return Promise.resolve(answer({ seq: 1, duplicate: true }));
    if (id !== '') this.#ids.add(id);
    const stored = answer({ seq: this.publish(subject, data, headers) });
    return Promise.resolve(this.lostAcks-- > 0 ? { kind: 'lost', why: 'test' } : stored);
  }

  publish(subject: string, data: Uint8Array, headers?: MsgHdrs): number {
    this.messages.push({ subject, seq: ++this.#sequence, data, headers });
    this.tell(subject, data);
    return this.#sequence;
  }

  tell(subject: string, data: Uint8Array): void {
    if (this.isDeaf) return;
    for (const listener of this.#listeners) listener({ subject, data } as unknown as Msg);
  }

  #purge(request: Uint8Array): Answer {
    const { filter, seq = Infinity } = JSON.parse(new TextDecoder().decode(request)) as {
      filter: string;
      seq?: number;
    };
    const left = this.messages.filter((message) => message.subject !== filter || message.seq >= seq);
    const purged = this.messages.length - left.length;
    this.messages = left;
    return answer({ success: true, purged });
  }

  #info(): Answer {
    const subjects = Object.fromEntries(this.messages.map(({ subject }) => [subject, 1]));
    return answer({ state: { messages: this.messages.length, subjects } });
  }

  #read(request: Uint8Array): Answer {
    const wanted = JSON.parse(new TextDecoder().decode(request)) as {
      seq?: number;
      next_by_subj?: string;
      last_by_subj?: string;
    };
    const filter = wanted.next_by_subj ?? wanted.last_by_subj ?? '';
    const pattern = new RegExp(`^${filter.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}$`);
    const isWanted = ({ seq, subject }: Stored): boolean => seq >= (wanted.seq ?? 0) && pattern.test(subject);
    const found = wanted.last_by_subj === undefined ? this.messages.find(isWanted) : this.messages.findLast(isWanted);
    if (found === undefined) return answer({ error: { code: 404, err_code: 10037, description: 'no message found' } });
    const { data, seq, subject } = found;
    return answer({ message: { subject, seq, data: Buffer.from(data).toString('base64') } });
  }
}

function answer(body: unknown): Answer {
  const data = new TextEncoder().encode(JSON.stringify(body));
  return { kind: 'answer', message: { data, json: () => body } as unknown as Msg };
}

const AGENT = 'sys_lock_manager';

function replica(stream: FakeStream): StoredHeldCommands {
  const held = new StoredHeldCommands({
    connection: stream.connection,
    requester: stream,
    agent: AGENT,
    clock,
    serverNow: () => 0,
  });
  held.listen();
  return held;
}

/** No answer is left to give. */
const nobody = (): never => {
  throw new Error('answers in the place of another');
};

const DENIED = { kind: 'denied', event: 'denied', payload: '{}', code: 'held', reason: 'held by another' } as const;

const command = (commandId: string, entityId = 'e', reply = '_INBOX.x'): HeldCommand => ({
  entityId,
  action: 'acquire',
  data: { owner_id: commandId },
  commandId,
  headers: [['Mesh-Command-Id', commandId]],
  reply,
  since: 1,
  until: 1_000,
  keeper: 'k',
});

test('what one replica stores all have, also one that comes later, until it is dropped', async () => {
  const stream = new FakeStream();
  const [one, other] = [replica(stream), replica(stream)] as const;
  expect(await one.put(command('a'))).toBe('held');
  expect(await other.put(command('b', 'f'))).toBe('held');
  const late = replica(stream);
  await late.load();
  for (const held of [one, other, late]) {
    expect(held.size).toBe(2);
    expect(held.of('e')).toEqual([command('a')]);
    expect([...held.entities()].sort()).toEqual(['e', 'f']);
  }
  await other.drop(command('a'));
  for (const held of [one, other, late]) {
    expect(held.of('e')).toEqual([]);
    expect(held.entities()).toEqual(['f']);
    expect(held.size).toBe(1);
  }
});

test('a retry that comes in the moment of the answer is not dropped with it', async () => {
  const stream = new FakeStream();
  const [one, other] = [replica(stream), replica(stream)] as const;
  await one.put(command('a', 'e', '_INBOX.first'));
  await other.put(command('a', 'e', '_INBOX.second'));
  await one.drop(command('a', 'e', '_INBOX.first'));
  expect(other.of('e').map(({ reply }) => reply)).toEqual(['_INBOX.second']);
  await other.drop(command('a', 'e', '_INBOX.second'));
  expect(one.size + other.size).toBe(0);
});

test('what was answered while a replica was cut off is forgotten when it reads again', async () => {
  const stream = new FakeStream();
  const held = replica(stream);
  for (const id of ['a', 'b', 'c']) await held.put(command(id));
  // It hears nothing of these.
  stream.messages = stream.messages.filter(({ subject }) => subject !== heldSubject(AGENT, 'e', digestOf('b')));
  await held.refresh('e');
  expect(held.of('e').map(({ commandId }) => commandId)).toEqual(['a', 'c']);
  stream.messages = [];
  await held.load();
  expect(held.size).toBe(0);
});

test('only what is still held is taken over', async () => {
  const stream = new FakeStream();
  const held = replica(stream);
  await held.put(command('a'));
  expect(await held.replace({ ...command('a'), keeper: 'other' })).toBe(true);
  expect(held.of('e')[0]?.keeper).toBe('other');
  await replica(stream).drop(command('a'));
  expect(await held.replace(command('a'))).toBe(false);
  stream.messages = [];
  expect(await held.replace(command('a'))).toBe(false);
  expect(held.size).toBe(0);
});

test('a drop is repeated until the server has it', async () => {
  const stream = new FakeStream();
  const held = replica(stream);
  await held.put(command('a'));
  stream.lost = 3;
  await held.drop(command('a'));
  expect(stream.messages).toEqual([]);
});

test('of many who would answer a command one alone is told to, and of its earlier versions nothing is left', async () => {
  const stream = new FakeStream();
  const replicas = Array.from({ length: 5 }, () => replica(stream));
  await replicas[0]?.put(command('a', 'e', '_INBOX.first'));
  await replicas[1]?.put(command('a', 'e', '_INBOX.second'));
  const claims = await Promise.all(replicas.map((held) => held.claim(command('a', 'e', '_INBOX.first'), DENIED)));
  expect(claims.filter((claim) => claim !== undefined)).toEqual([command('a', 'e', '_INBOX.second')]);
  expect(replicas.map(({ size }) => size)).toEqual([0, 0, 0, 0, 0]);
  await replicas[claims.findIndex((claim) => claim !== undefined)]?.drop(command('a', 'e', '_INBOX.second'));
  expect(stream.messages).toEqual([]);
});

test('what a replica was to answer, and died, another one answers in its place, and the same', async () => {
  const stream = new FakeStream();
  const [one, other] = [replica(stream), replica(stream)] as const;
  await one.put(command('a'));
  expect(await one.claim(command('a'), DENIED)).toEqual(command('a'));
  // Nobody else decides it any more, also nobody who begins only now, nor does a late try to store it bring it back.
  const late = replica(stream);
  await late.load();
  expect([one.size, other.size, late.size]).toEqual([0, 0, 0]);
  expect(await other.claim(command('a'), { ...DENIED, code: 'cancelled' })).toBeUndefined();
  expect(await other.replace(command('a'))).toBe(false);
  expect(await other.put(command('a'))).toBe('answered');
  const answers: unknown[] = [];
  for (let look = 1; look <= 3; look++) await late.findStrays((...given) => void answers.push(given));
  expect(answers).toMatchObject([[command('a'), DENIED]]);
  expect(stream.messages).toEqual([]);
});

test('a claim whose acknowledgement was lost is known by who made it', async () => {
  const stream = new FakeStream();
  const [one, other] = [replica(stream), replica(stream)] as const;
  await one.put(command('a'));
  stream.lostAcks = 1;
  expect(await one.claim(command('a'), DENIED)).toEqual(command('a'));
  expect(await other.claim(command('a'), DENIED)).toBeUndefined();
});

test('what could not be stored is not held', async () => {
  const stream = new FakeStream();
  const held = replica(stream);
  stream.lost = 1;
  expect(await held.put(command('a'))).toBe('failed');
  expect(held.size).toBe(0);
});

test('a store whose acknowledgement was lost is found when it is tried again, and is not repeated behind its answer', async () => {
  const stream = new FakeStream();
  const [one, other] = [replica(stream), replica(stream)] as const;
  stream.lostAcks = 2;
  expect(await one.put(command('a'))).toBe('failed');
  expect(await one.put(command('a'))).toBe('held');
  expect(stream.messages).toHaveLength(1);
  expect(await one.put(command('b'))).toBe('failed');
  await other.drop(command('b'));
  expect(await one.put(command('b'))).toBe('answered');
  expect(stream.messages).toHaveLength(1);
  expect(one.of('e')).toEqual([command('a')]);
  // The same command sent again is another matter.
  expect(await one.put({ ...command('b'), since: 2 })).toBe('held');
});

test('odd bytes are ignored, whatever they are and wherever they stand', async () => {
  const good = new TextEncoder().encode(JSON.stringify(command('a')));
  const subjects = fc.oneof(
    fc.constant(heldSubject(AGENT, 'e', digestOf('a'))),
    fc.constant(heldSubject(AGENT, 'e', 'another-key')),
    fc.constant(heldSubject(AGENT, 'f', digestOf('a'))),
    fc.constant('held.lock.%zz.x'),
    fc.constant('held.lock.e'),
    fc.constant('held.other.e.x'),
    fc.string({ unit: 'grapheme-ascii' }).map((text) => `held.lock.${text}`),
  );
  const json = fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value)));
  const damaged = fc
    .tuple(fc.constantFrom(...Object.keys(command('a'))), fc.jsonValue())
    .map(([key, value]) => new TextEncoder().encode(JSON.stringify({ ...command('a'), [key]: value })));
  const bytes = fc.oneof(fc.uint8Array({ minLength: 1 }), json, damaged, fc.constant(good.slice(1)));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(subjects, bytes), { maxLength: 10 }), async (messages) => {
      const stream = new FakeStream();
      const held = replica(stream);
      for (const [subject, data] of messages) stream.publish(subject, data);
      await held.load();
      for (const entityId of held.entities()) {
        for (const found of held.of(entityId)) {
          // Whatever is held is a whole command under its own subject.
          expect(stream.messages.map(({ subject }) => subject)).toContain(
            heldSubject(AGENT, entityId, digestOf(found.commandId)),
          );
          expect(typeof found.reply).toBe('string');
          expect(Number.isFinite(found.until)).toBe(true);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('the news of a command that nobody holds changes nothing', () => {
  const stream = new FakeStream();
  const held = replica(stream);
  stream.tell(answeredSubject(AGENT, 'e', digestOf('a')), new TextEncoder().encode('_INBOX.x'));
  expect(held.size).toBe(0);
});

test('what is stored behind its own answer is purged by who answered it, and nobody else minds', async () => {
  const stream = new FakeStream();
  const [one, other] = [replica(stream), replica(stream)] as const;
  await one.put(command('a'));
  const [landsLate] = stream.messages;
  await one.drop(command('a'));
  stream.messages.push(landsLate as Stored);
  await one.findStrays(nobody);
  // Once can be news under way.
  expect(stream.messages).toHaveLength(1);
  await one.findStrays(nobody);
  expect(stream.messages).toEqual([]);
  expect(one.size + other.size).toBe(0);
});

test('what is stored and was never heard of is taken in at the second look', async () => {
  const stream = new FakeStream();
  const held = replica(stream);
  stream.isDeaf = true;
  await replica(stream).put(command('a'));
  await held.findStrays(nobody);
  expect(held.size).toBe(0);
  await held.findStrays(nobody);
  expect(held.of('e')).toEqual([command('a')]);
});

test('a retry from another inbox that is stored behind the answer to the first is taken in, not purged', async () => {
  const stream = new FakeStream();
  const held = replica(stream);
  await held.put(command('a', 'e', '_INBOX.first'));
  await held.drop(command('a', 'e', '_INBOX.first'));
  stream.isDeaf = true;
  await replica(stream).put(command('a', 'e', '_INBOX.second'));
  for (let look = 1; look <= 3; look++) await held.findStrays(nobody);
  expect(stream.messages).toHaveLength(1);
  expect(held.of('e').map(({ reply }) => reply)).toEqual(['_INBOX.second']);
});

test('what is known, or is no command, is left alone by every look', async () => {
  const stream = new FakeStream();
  const held = replica(stream);
  await held.put(command('a'));
  stream.publish(heldSubject(AGENT, 'e', digestOf('b')), new TextEncoder().encode('{}'));
  for (let look = 1; look <= 3; look++) await held.findStrays(nobody);
  expect(held.of('e')).toEqual([command('a')]);
  expect(stream.messages).toHaveLength(2);
});
