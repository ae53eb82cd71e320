// Hunts commands that a replica goes on holding after another has answered them, and such that nobody sees to any more.
import { heldStream } from '@meshforge/protocol';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { beforeEach, expect, test } from 'vitest';
import type { HeldCommand } from '../src/core/companion.ts';
import { StoredHeldCommands } from '../src/nats/held-commands.ts';
import type { Answer } from '../src/nats/requester.ts';

const command: HeldCommand = {
  entityId: 'lock',
  action: 'acquire',
  data: { owner_id: 'me' },
  commandId: 'c1',
  headers: [],
  reply: '_INBOX.me',
  since: 0,
  until: 1_000,
  keeper: 'a replica',
};

/** A stream of one message a subject, that can be away. */
class Stream {
  readonly #messages = new Map<string, { seq: number; data: Uint8Array }>();
  #sequence = 0;
  isAway = false;
  /** Stores what is published, and does not say so. */
  isSilent = false;

  readonly request = (subject: string, body: Uint8Array): Promise<Answer> => {
    if (this.isAway) return Promise.resolve({ kind: 'lost', why: 'nobody leads it' });
    const answered = subject.startsWith('$JS.')
      ? this.#get(JSON.parse(Buffer.from(body).toString()))
      : this.#put(subject, body);
    if (this.isSilent) return Promise.resolve({ kind: 'lost', why: 'no answer' });
    const data = Buffer.from(JSON.stringify(answered));
    const message = { data, json: () => answered } as unknown as Msg;
    return Promise.resolve({ kind: 'answer', message });
  };

  #put(subject: string, data: Uint8Array): object {
    this.#messages.set(subject, { seq: ++this.#sequence, data });
    return { stream: heldStream('sys_lock_manager'), seq: this.#sequence };
  }

  #get({ seq, last_by_subj: last }: { seq?: number; last_by_subj?: string }): object {
    const found = [...this.#messages]
      .toSorted(([, one], [, other]) => one.seq - other.seq)
      .find(([subject, message]) => (last === undefined ? message.seq >= (seq ?? 0) : subject === last));
    if (found === undefined) return { error: { code: 404, err_code: 10_037, description: 'no message found' } };
    const [subject, message] = found;
    return { message: { subject, seq: message.seq, data: Buffer.from(message.data).toString('base64') } };
  }
}

let stream: Stream;
/** Of two replicas that hear no news of each other. */
let one: StoredHeldCommands;
let other: StoredHeldCommands;
let slept: () => void;

beforeEach(() => {
  stream = new Stream();
  slept = () => {};
  const clock = { wall: () => 0, monotonic: () => 0, random: () => 0, sleep: async () => slept() };
  const connection = {} as NatsConnection;
  const open = (): StoredHeldCommands =>
    new StoredHeldCommands({ connection, requester: stream, agent: 'sys_lock_manager', clock, serverNow: () => 0 });
  [one, other] = [open(), open()];
});

test('a read forgets what another replica has answered', async () => {
  await one.put(command);
  await other.load();
  expect(other.of('lock')).toEqual([command]);
  one.drop(command);
  await other.load();
  expect(other.size).toBe(0);
});

test('whether a command is still held, the server tells', async () => {
  await one.put(command);
  await other.load();
  expect(await other.confirm(command)).toBe(true);
  one.drop(command);
  const [known] = other.of('lock');
  expect(await other.confirm(known ?? command)).toBe(false);
  expect(other.size).toBe(0);
});

test('a command is forgotten for certain, though the stream was away when it was dropped', async () => {
  await one.put(command);
  stream.isAway = true;
  one.drop(command);
  await new Promise<void>((resolve) => {
    slept = () => {
      stream.isAway = false;
      resolve();
    };
  });
  await other.load();
  expect(other.size).toBe(0);
});

test('a command of which nobody knows whether it is stored is held', async () => {
  stream.isSilent = true;
  expect(await one.put(command)).toBe(true);
  stream.isSilent = false;
  expect(await one.confirm(command)).toBe(true);
  await one.load();
  expect(one.of('lock')).toEqual([command]);
  await other.load();
  expect(other.of('lock')).toEqual([command]);
});
