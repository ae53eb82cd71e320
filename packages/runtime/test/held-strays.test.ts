/** Hunts held commands that lie in the stream and that nobody sees to: their news was lost, or who was to answer them died. */
import { heldSubject } from '@meshforge/protocol';
import { expect, test } from 'vitest';
import { digestOf } from '../src/nats/digest.ts';
import { AGENT, command, DENIED, FakeStream, replica, type Stored } from './support/fake-held-stream.ts';

/** No answer is left to give. */
const nobody = (): never => {
  throw new Error('answers in the place of another');
};

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
