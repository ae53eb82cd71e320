/** Hunts held commands that are lost, kept for ever, or made of bytes that no agent wrote. */
import { answeredSubject, heldSubject } from '@meshforge/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { digestOf } from '../src/nats/digest.ts';
import { AGENT, command, DENIED, FakeStream, replica } from './support/fake-held-stream.ts';

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
