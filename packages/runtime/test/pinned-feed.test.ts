/** Hunts messages that are handed on out of order, twice, or while another replica may have them. */
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { headers as newHeaders } from '@nats-io/nats-core';
import { beforeEach, expect, test, vi } from 'vitest';
import type { Clock } from '../src/clock.ts';
import type { Answer } from '../src/nats/requester.ts';
import { PIN_MS } from '../src/queue/pin.ts';
import { PinnedFeed } from '../src/queue/pinned-feed.ts';
import type { QueuedMessage, Tenure } from '../src/queue/tenure.ts';

interface Pull {
  reply: string;
  batch: number;
  id?: string;
  max_bytes?: number;
}

/** A clock that a test turns, and a server that does what a test says. */
class Script {
  now = 0;
  #sleepers: { at: number; wake: () => void }[] = [];
  readonly pulls: Pull[] = [];
  readonly acknowledged: string[] = [];
  readonly deleted: number[] = [];
  readonly handed: number[] = [];
  tenures: Tenure[] = [];
  stored: number[] = [];
  /** The header block of what is stored, as JetStream's API gives it. */
  hdrs = '';
  delivered = 0;
  /** Whom the server serves alone. */
  pinned = '';
  #callback: (error: null, message: Msg) => void = () => {};
  #delivery = 0;
  #break: () => void = () => {};
  room = 100;

  readonly clock: Clock = {
    wall: () => this.now,
    monotonic: () => this.now,
    random: () => 0.5,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        this.#sleepers.push({ at: this.now + ms, wake: resolve });
        signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
  };

  readonly feed = new PinnedFeed({
    connection: {
      isClosed: () => false,
      status: () => this.#status(),
      subscribe: (_subject: string, { callback }: { callback: (error: null, message: Msg) => void }) => {
        this.#callback = callback;
        return { unsubscribe: () => {} };
      },
      publish: (subject: string, data?: Uint8Array, options?: { reply: string }) => {
        if (!subject.includes('CONSUMER.MSG.NEXT')) this.acknowledged.push(subject);
        else
          this.pulls.push({ ...(JSON.parse(Buffer.from(data ?? []).toString()) as Pull), reply: options?.reply ?? '' });
      },
    } as unknown as NatsConnection,
    requester: { request: (subject, data) => Promise.resolve(this.#answer(subject, Buffer.from(data).toString())) },
    clock: this.clock,
    inboxPrefix: '_INBOX',
    stream: 'S',
    consumer: 'c',
    filter: 's.*',
    isWorkQueue: true,
    room: () => this.room,
    onMessage: ({ sequence }: QueuedMessage, tenure: Tenure) => {
      this.handed.push(sequence);
      if (!this.tenures.includes(tenure)) this.tenures.push(tenure);
    },
    onFault: (error) => {
      throw error;
    },
  });

  #answer(subject: string, body: string): Answer {
    const reply = (response: object): Answer => ({
      kind: 'answer',
      message: { json: () => response, data: new Uint8Array(1) } as unknown as Msg,
    });
    if (subject.includes('CONSUMER.INFO')) {
      const groups = [{ group: 'executor', ...(this.pinned === '' ? {} : { pinned_client_id: this.pinned }) }];
      return reply({
        delivered: { consumer_seq: this.#delivery, stream_seq: this.delivered },
        ack_floor: { stream_seq: 0 },
        priority_groups: groups,
      });
    }
    if (subject.includes('MSG.DELETE')) {
      this.deleted.push((JSON.parse(body) as { seq: number }).seq);
      return reply({ success: true });
    }
    if (!subject.includes('MSG.GET')) return reply({});
    const { seq } = JSON.parse(body) as { seq: number };
    const found = this.stored.find((sequence) => sequence >= seq);
    if (found === undefined) return reply({ error: { code: 404, err_code: 10037, description: 'none' } });
    return reply({ message: { subject: 's.x', seq: found, time: '2026-01-31T12:00:00Z', data: '', hdrs: this.hdrs } });
  }

  async *#status(): AsyncGenerator<{ type: string }> {
    for (;;) {
      await new Promise<void>((resolve) => (this.#break = resolve));
      yield { type: 'disconnect' };
    }
  }

  /** The connection breaks. */
  async disconnect(): Promise<void> {
    this.#break();
    await this.pass();
  }

  /** Lets everything happen that can, and time pass. */
  async pass(ms = 0): Promise<void> {
    this.now += ms;
    for (let i = 0; i < 30; i++) {
      const due = this.#sleepers.filter(({ at }) => at <= this.now);
      this.#sleepers = this.#sleepers.filter(({ at }) => at > this.now);
      for (const { wake } of due) wake();
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }

  async deliver(pin: string, sequence: number, { lost = false, deliveries = 1 } = {}): Promise<void> {
    this.#delivery++;
    this.pinned = pin;
    this.delivered = Math.max(this.delivered, sequence);
    if (lost) return;
    const headers = newHeaders();
    headers.set('Nats-Pin-Id', pin);
    const reply = `$JS.ACK.S.c.${deliveries}.${sequence}.${this.#delivery}.1000000.0`;
    this.#callback(null, { subject: 's.x', reply, headers, data: new Uint8Array() } as unknown as Msg);
    await this.pass();
  }

  async status(code: number): Promise<void> {
    const headers = { code, get: () => '', keys: () => [] };
    this.#callback(null, { subject: this.pulls.at(-1)?.reply, headers, data: new Uint8Array() } as unknown as Msg);
    await this.pass();
  }
}

let script: Script;

beforeEach(async () => {
  script = new Script();
  script.feed.start();
  await script.pass();
  return async () => {
    vi.useRealTimers();
    const stopped = script.feed.stop();
    await script.pass(10_000);
    await stopped;
  };
});

test('messages are handed on as they come, and acknowledged when they are done', async () => {
  script.stored = [1, 2];
  await script.deliver('A', 1);
  await script.deliver('A', 2);
  expect(script.handed).toEqual([1, 2]);
  script.feed.done(1);
  expect(script.acknowledged).toEqual(['$JS.ACK.S.c.1.1.1.1000000.0']);
  // Its acknowledgement was lost: it is given once more, and nothing else happens.
  await script.deliver('A', 1, { deliveries: 2 });
  expect(script.handed).toEqual([1, 2]);
  expect(script.acknowledged).toHaveLength(2);
});

test('what a former replica had in its hands comes first, once that one can no longer believe that it is served', async () => {
  script.stored = [3, 5, 6, 7];
  script.delivered = 6;
  await script.deliver('B', 7);
  await script.pass(100);
  expect(script.handed).toEqual([]);
  await script.pass(PIN_MS - 1);
  expect(script.handed).toEqual([]);
  await script.pass(100);
  expect(script.handed).toEqual([3, 5, 6, 7]);
  // It was read, not delivered: there is nothing to acknowledge.
  script.feed.done(3);
  await script.pass();
  expect(script.deleted).toEqual([3]);
  // Its delivery does, should it come first.
  await script.deliver('B', 5, { deliveries: 2 });
  script.feed.done(5);
  expect(script.acknowledged).toHaveLength(1);
});

test('I8: headers that the client refuses to read hold up nobody, whoever had the message before', async () => {
  script.stored = [3, 7];
  script.hdrs = Buffer.from('NATS/1.0\r\nno name: x\r\n\r\n').toString('base64');
  await script.deliver('B', 7);
  await script.pass(100);
  await script.pass(PIN_MS);
  expect(script.handed).toEqual([3, 7]);
});

test('a delivery that was lost on its way is read from the stream, before what stands behind it', async () => {
  script.stored = [1, 2, 3];
  await script.deliver('A', 1);
  await script.deliver('A', 2, { lost: true });
  await script.deliver('A', 3);
  expect(script.handed).toEqual([1]);
  expect(script.tenures[0]?.isCurrent()).toBe(false);
  await script.deliver('A', 3, { deliveries: 2 });
  await script.pass(100);
  await script.pass(PIN_MS);
  expect(script.handed).toEqual([1, 1, 2, 3]);
});

test('a replica believes in its tenure only as long as the server confirms it', async () => {
  script.stored = [1];
  await script.deliver('A', 1);
  const [tenure] = script.tenures;
  expect(tenure?.isCurrent()).toBe(true);
  await script.pass(PIN_MS);
  expect(tenure?.isCurrent()).toBe(false);
  // The pin is still its own: nobody else was served meanwhile.
  await script.pass(1_000);
  await script.status(408);
  expect(tenure?.isCurrent()).toBe(true);
  await script.pass(100);
  await script.status(423);
  expect(tenure?.isCurrent()).toBe(false);
  expect(tenure?.over.aborted).toBe(true);
  // What comes late of it is another's.
  await script.deliver('A', 2);
  expect(script.handed).toEqual([1]);
  expect(script.feed.isActive).toBe(false);
});

test('a pull that the server takes under an old pin, while nobody is pinned, revives no tenure', async () => {
  script.stored = [1];
  await script.deliver('A', 1);
  const [tenure] = script.tenures;
  // Another replica was served meanwhile, and is pinned no more; there is nothing to deliver.
  await script.deliver('B', 2, { lost: true });
  script.pinned = '';
  await script.pass(PIN_MS + 1_000);
  await script.status(408);
  expect(tenure?.isCurrent()).toBe(false);
  expect(tenure?.over.aborted).toBe(true);
  expect(script.feed.inHand).toBe(0);
});

test('a tenure goes on if nobody was served meanwhile, though the pin is over', async () => {
  script.stored = [1];
  await script.deliver('A', 1);
  const [tenure] = script.tenures;
  script.pinned = '';
  await script.pass(PIN_MS + 1_000);
  expect(tenure?.isCurrent()).toBe(false);
  await script.status(408);
  expect(tenure?.isCurrent()).toBe(true);
  expect(script.feed.inHand).toBe(1);
});

test('what is delivered again at once waits as well: a former replica may still believe that it is served', async () => {
  script.stored = [1, 2];
  script.delivered = 2;
  await script.deliver('B', 1, { deliveries: 2 });
  await script.deliver('B', 2, { deliveries: 2 });
  await script.pass(100);
  await script.pass(PIN_MS - 1);
  expect(script.handed).toEqual([]);
  await script.pass(100);
  expect(script.handed).toEqual([1, 2]);
});

test('without room it asks for nothing, and tells the server that it lives', async () => {
  script.stored = [1];
  await script.deliver('A', 1);
  script.room = 0;
  await script.status(408);
  await script.pass(100);
  expect(script.pulls.at(-1)).toMatchObject({ batch: 1, max_bytes: 1, id: 'A' });
  const asked = script.pulls.length;
  await script.status(409);
  await script.pass(100);
  expect(script.pulls.length).toBe(asked + 1);
  // A little room is used, but not in a hurry.
  script.room = 7;
  await script.status(408);
  expect(script.pulls.length).toBe(asked + 1);
  await script.pass(100);
  expect(script.pulls.at(-1)).toMatchObject({ batch: 7, id: 'A' });
  expect(script.pulls.at(-1)).not.toHaveProperty('max_bytes');
});

test('it asks for more as soon as there is room for it', async () => {
  script.stored = [1, 2];
  await script.deliver('A', 1);
  await script.deliver('A', 2);
  script.room = 0;
  await script.status(408);
  const asked = script.pulls.length;
  script.room = 31;
  script.feed.done(1);
  await script.pass(0);
  expect(script.pulls.length).toBe(asked);
  script.room = 32;
  script.feed.done(2);
  await script.pass(0);
  expect(script.pulls.length).toBe(asked + 1);
  expect(script.pulls.at(-1)).toMatchObject({ batch: 32 });
});

test('after a broken connection nothing is in hand any more', async () => {
  script.stored = [1, 2];
  await script.deliver('A', 1);
  await script.disconnect();
  expect(script.tenures[0]?.over.aborted).toBe(true);
  expect(script.feed.inHand).toBe(0);
  await script.deliver('A', 2);
  await script.pass(100);
  await script.pass(PIN_MS);
  expect(script.handed).toEqual([1, 1, 2]);
});
