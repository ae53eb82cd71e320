// Hunts: what a look at a stream or consumer can show, and whoever relies on it is not told, is told twice, or is told too late.
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { beforeEach, expect, test } from 'vitest';
import type { Asset, Report } from '../src/nats/presence/asset.ts';
import type { Followed } from '../src/nats/presence/followed-asset.ts';
import { Presence } from '../src/nats/presence/presence.ts';
import type { Answer } from '../src/nats/requester.ts';
import { SimulatedTime } from './support/simulated-time.ts';

type State = { created: string; leader: string; messages: number; last: number; replicas: number; max_age: number };

const AS_IT_IS: State = { created: 'monday', leader: 'n1', messages: 3, last: 3, replicas: 1, max_age: 0 };

let time: SimulatedTime;
/** What the server says of the stream; undefined: nothing. */
let answer: State | 'gone' | undefined;
let reports: Report[];
let told: string[];
let tell: (type: string) => void;
let advise: (verb: string) => void;

const connection = {
  isClosed: () => false,
  async *status() {
    for (;;) yield { type: await new Promise<string>((resolve) => (tell = resolve)) };
  },
  subscribe: (subject: string, { callback }: { callback: (error: null, message: Msg) => void }) => {
    advise = (verb) => callback(null, { subject: subject.replace('*', verb) } as Msg);
    return { unsubscribe: () => {} };
  },
} as unknown as NatsConnection;

function request(): Promise<Answer> {
  if (answer === undefined) return Promise.resolve({ kind: 'lost', why: 'no answer in time' });
  const error = { code: 404, err_code: 10_059, description: 'stream not found' };
  const body = answer === 'gone' ? { error } : infoOf(answer);
  return Promise.resolve({ kind: 'answer', message: { data: new Uint8Array(1), json: () => body } as unknown as Msg });
}

function infoOf({ created, last, leader, max_age, messages, replicas }: State): object {
  return {
    created,
    cluster: { leader },
    config: { max_age, num_replicas: replicas },
    state: { messages, last_seq: last },
  };
}

beforeEach(() => {
  time = new SimulatedTime(0, 1);
  answer = { ...AS_IT_IS };
  reports = [];
  told = [];
});

async function follow(asset: Partial<Asset> = {}): Promise<Followed> {
  const clock = {
    wall: () => time.now,
    monotonic: () => time.now,
    random: () => 0.5,
    sleep: (ms: number, signal?: AbortSignal) => time.sleep(ms, signal),
  };
  const presence = new Presence({
    connection,
    requester: { request },
    clock,
    report: (report) => reports.push(report),
  });
  const followed = presence.follow({
    stream: 'S',
    onDoubt: () => told.push('doubt'),
    onReplaced: () => told.push('replaced'),
    ...asset,
  });
  await time.pass(time.now);
  return followed;
}

/** The next two looks see it so. */
async function becomes(now: Partial<State> | 'gone' | undefined, ms = 5_000): Promise<void> {
  answer = typeof now === 'object' ? { ...AS_IT_IS, ...now } : now;
  await time.pass(time.now + ms);
}

const texts = (): string[] => reports.map(({ kind, level, text }) => `${kind} ${level}: ${text}`);

test('a stream that grows is no matter', async () => {
  await follow({ isLog: true });
  await becomes({ messages: 900, last: 900 });
  expect([told, reports]).toEqual([[], []]);
});

test.each<{ what: string; now: Partial<State>; text: string }>([
  {
    what: 'was recreated or restored',
    now: { created: 'tuesday', last: 90 },
    text: 'recreated or restored at tuesday',
  },
  { what: 'lost its end', now: { last: 2, messages: 2 }, text: 'has lost messages at its end' },
  { what: 'was purged', now: { messages: 0 }, text: 'was purged' },
])('a log that $what is doubted, and replaced for whoever relies on it; it is reported once', async ({ now, text }) => {
  const followed = await follow({ isLog: true });
  await becomes(now);
  await becomes(now);
  expect(told).toEqual(['doubt', 'replaced']);
  expect(texts()).toEqual([expect.stringMatching(`^changed error: stream S .*${text}`)]);
  expect(followed.problem).toBeUndefined();
});

test('a work queue may be empty', async () => {
  await follow();
  await becomes({ messages: 0 });
  expect([told, reports]).toEqual([[], []]);
});

test('another leader is a doubt and no news; what it has lost shows at the second look', async () => {
  await follow();
  await becomes({ leader: 'n2', last: 2 });
  expect([told, texts()]).toEqual([['doubt', 'doubt', 'replaced'], [expect.stringContaining('has lost messages')]]);

  told = [];
  reports = [];
  await becomes({ leader: 'n3', last: 7 });
  expect([told, reports]).toEqual([['doubt'], []]);
});

test('what is gone is a problem, reported once; its return is reported, and what was before is forgotten', async () => {
  const followed = await follow();
  await becomes('gone');
  await becomes('gone');
  expect(told).toEqual(['doubt', 'replaced']);
  expect(followed.problem).toMatch('stream S is gone');
  await becomes({ created: 'tuesday' });
  expect(told).toEqual(['doubt', 'replaced', 'doubt', 'replaced']);
  expect(followed.problem).toBeUndefined();
  expect(reports.map(({ kind }) => kind)).toEqual(['gone', 'changed', 'recovered']);
});

test('silence is not absence: it is a problem after ten seconds, and nothing is recreated', async () => {
  let recreated = 0;
  const followed = await follow({
    recreate: () => {
      recreated++;
      return Promise.resolve();
    },
  });
  await becomes(undefined, 9_000);
  expect(followed.problem).toBeUndefined();
  await becomes(undefined, 3_000);
  expect(followed.problem).toMatch('has not answered for 10 s');
  await becomes({});
  expect(followed.problem).toBeUndefined();
  expect([told, recreated]).toEqual([[], 0]);
  expect(reports.map(({ kind, level }) => [kind, level])).toEqual([
    ['silent', 'warn'],
    ['recovered', 'info'],
  ]);
});

test('what holds no data is recreated; where that fails it is gone, and tried again', async () => {
  let fails = true;
  const followed = await follow({
    recreate: () => {
      if (fails) return Promise.reject(new Error('not now'));
      answer = { ...AS_IT_IS, created: 'tuesday' };
      return Promise.resolve();
    },
  });
  await becomes('gone');
  expect(followed.problem).toMatch('cannot be created again: not now');
  fails = false;
  await time.pass(time.now + 3_000);
  expect(followed.problem).toBeUndefined();
  expect(reports.map(({ kind }) => kind)).toEqual(['gone', 'recreated', 'recovered']);
});

test('unsuitable settings are a problem as long as they last; what can be mended is mended', async () => {
  const misfit = (config: object): string | undefined =>
    (config as State).max_age === 0 ? undefined : `max_age is ${(config as State).max_age}`;
  const followed = await follow({ misfit });
  await becomes({ max_age: 7 });
  expect(followed.problem).toMatch('max_age is 7. Mend it with "nats stream edit"');
  await becomes({ max_age: 8 });
  expect(followed.problem).toMatch('max_age is 8');
  await becomes({});
  expect(followed.problem).toBeUndefined();
  expect(reports.map(({ kind }) => kind)).toEqual(['unsuitable', 'unsuitable', 'recovered']);
  followed.stop();

  reports = [];
  const mend = (): Promise<void> => {
    answer = { ...AS_IT_IS };
    return Promise.resolve();
  };
  const mended = await follow({ misfit, mend });
  await becomes({ max_age: 7 });
  expect(reports.map(({ kind }) => kind)).toEqual(['unsuitable', 'recovered']);
  expect(mended.problem).toBeUndefined();
});

test.each(['CREATED', 'DELETED', 'RESTORE_COMPLETE', 'LEADER_ELECTED'])(
  'an advisory %s is a doubt before anybody looks',
  async (verb) => {
    await follow();
    advise(verb);
    expect(told).toEqual(['doubt']);
  },
);

test('an advisory leads to a look at once, also one that comes during a look', async () => {
  const followed = await follow();
  answer = 'gone';
  advise('UPDATED');
  advise('DELETED');
  await time.pass(time.now);
  expect(followed.problem).toMatch('is gone');
  answer = { ...AS_IT_IS, created: 'tuesday' };
  advise('CREATED');
  await time.pass(time.now);
  expect(followed.problem).toBeUndefined();
});

test('a broken connection is a doubt when it breaks, and when it is back; who waits for certainty gets it after a look', async () => {
  const followed = await follow();
  const { signal } = new AbortController();
  await followed.certain(signal);
  tell('disconnect');
  await time.pass(time.now + 30_000);
  expect(told).toEqual(['doubt']);
  let isCertain = false;
  void followed.certain(signal).then(() => (isCertain = true));
  await time.pass(time.now + 3_000);
  // Nobody asks, and nobody is blamed for not answering.
  expect([isCertain, followed.problem]).toEqual([false, undefined]);
  answer = { ...AS_IT_IS, created: 'tuesday' };
  tell('reconnect');
  await time.pass(time.now);
  expect(isCertain).toBe(true);
  expect(told).toEqual(['doubt', 'doubt', 'doubt', 'replaced']);
});

test('a change of the number of replicas is told, and known', async () => {
  const followed = await follow();
  expect(followed.replicas).toBe(1);
  await becomes({ replicas: 3 });
  expect(followed.replicas).toBe(3);
  expect(texts()).toEqual(['replicas info: stream S has 3 replicas now, before: 1']);
});
