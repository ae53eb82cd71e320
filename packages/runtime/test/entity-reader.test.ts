/** Hunts leases that live on after their end, and what is lost with it, in a log whose last message does not tell all. */
import { headers as newHeaders } from '@nats-io/nats-core';
import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { annotate, commit, defineAgent } from '../src/core/agent.ts';
import { EntityReader } from '../src/nats/entity-reader.ts';
import type { BatchAnswer, RequestPort } from '../src/nats/requester.ts';
import { SimulatedStream } from './simulated-stream.ts';

const END = 10_000;

const lamp = defineAgent({
  name: 'lamp',
  state: z.object({ on: z.boolean() }),
  actions: {
    light: {
      data: z.object({}),
      event: 'lit',
      entity: 'any',
      rule: (_state, _data, { now }) => commit({ on: true }, { expiresAt: now + END }),
    },
    note: { data: z.object({}), event: 'noted', entity: 'present', rule: () => annotate('note') },
    quench: { data: z.object({}), event: 'quenched', entity: 'any', rule: () => ({ on: false }) },
  },
  lease: { expiryEvent: 'burnt', events: ['lit'], expire: () => ({ on: false }) },
});

type Written = readonly [place: string, version: number, lines: Record<string, string>];

const keeps = (version: number): Record<string, string> => ({ 'Mesh-Lease': `lit ${version} ${END}` });
const lit = (version: number): Written => [
  `${version}.lit`,
  version,
  { 'Nats-Schedule': `@at ${new Date(END).toISOString()}`, 'Mesh-Body': 'x', 'Mesh-Command-Id': `light ${version}` },
];
const noted = (version: number): Written => [
  '0.noted',
  version,
  { 'Mesh-Unchanged': 'true', 'Mesh-Notes': 'note', ...keeps(version) },
];
const burnt = (version: number): Written => ['x.burnt', version, { 'Nats-Scheduler': `ent.lamp.e.${version}.lit` }];
const refused = (version: number): Written => ['refused', version, { 'Mesh-Mark': '7.1', ...keeps(version) }];

let stream: SimulatedStream;
beforeEach(() => (stream = new SimulatedStream(() => 'none', true)));

function store(...messages: readonly Written[]): void {
  for (const [place, version, lines] of messages) {
    const headers = newHeaders();
    headers.set('Mesh-Recent', '0.0');
    for (const [name, value] of Object.entries(lines)) headers.set(name, value);
    const data = Buffer.from(JSON.stringify({ entity_id: 'e', entity_version: version, state: { on: true } }));
    const sequence = stream.messages.length + 1;
    stream.messages.push({ subject: `ent.lamp.e.${place}`, sequence, headers, data, checkedAt: sequence - 1 });
  }
}

async function readBy(requester: RequestPort, now: number, authoritative = false) {
  const reader = new EntityReader({ agent: lamp, requester, isReplicated: () => true, serverNow: () => now });
  return await reader.entity('e', authoritative);
}

async function read(now: number) {
  const found = await readBy(stream, now);
  if (found.kind !== 'read') return expect.unreachable(found.why);
  const { lease, mark, notes, sequence, state, version } = found.value;
  return { lease: lease?.version, mark: mark.sequence, notes, sequence, on: state?.['on'], version };
}

describe('a lease', () => {
  test('that ended is revived by nothing that left it alone and came behind its end', async () => {
    store(lit(1), burnt(1), noted(1));
    expect(await read(END)).toEqual({ lease: undefined, mark: 0, notes: 'note', sequence: 3, on: false, version: 1 });
    store(refused(1));
    expect(await read(END)).toEqual({ lease: undefined, mark: 7, notes: '', sequence: 4, on: false, version: 1 });
  });

  test('that was left alone stands until the log ends it', async () => {
    store(burnt(1), lit(2), noted(2));
    const standing = { lease: 2, mark: 0, notes: 'note', sequence: 3, on: true, version: 2 };
    expect(await read(END)).toEqual(standing);
    expect(await read(0)).toEqual(standing);
  });

  test('is ended by no expiry of one before it', async () => {
    store(lit(2), burnt(1));
    expect(await read(END)).toEqual({ lease: 2, mark: 0, notes: '', sequence: 2, on: true, version: 2 });
  });

  test('that ended takes nothing along of what came while it stood', async () => {
    store(lit(1), noted(1), refused(1), burnt(1));
    stream.messages.shift();
    expect(await read(END)).toEqual({ lease: undefined, mark: 7, notes: '', sequence: 4, on: false, version: 1 });
  });
});

describe('an expiry that fires late, as a killed server can have it', () => {
  test('does not hide the expiry of a later lease', async () => {
    store(['0.quenched', 1, {}], burnt(4), burnt(2));
    expect(await read(END)).toEqual({ lease: undefined, mark: 0, notes: '', sequence: 3, on: false, version: 4 });
  });

  test('hides nothing where the log holds nothing else', async () => {
    store(burnt(4), burnt(7), burnt(5));
    expect(await read(END)).toMatchObject({ sequence: 3, version: 7 });
  });

  test('leaves what came behind the other as it is', async () => {
    store(burnt(4), ['0.quenched', 5, {}], burnt(2));
    expect(await read(END)).toEqual({ lease: undefined, mark: 0, notes: '', sequence: 3, on: true, version: 5 });
  });
});

describe('a whole log', () => {
  const batch = (answers: readonly (() => Promise<BatchAnswer>)[]): RequestPort => {
    const left = [...answers];
    return {
      request: (subject, payload, headers) => stream.request(subject, payload, headers),
      requestBatch: (subject, payload) => (left.shift() ?? (() => stream.requestBatch(subject, payload)))(),
    };
  };
  const question = Buffer.from(JSON.stringify({ multi_last: ['ent.lamp.e.>'] }));

  test('is read again where the server that answers has not got the last message', async () => {
    store(lit(1), noted(1));
    const behind = await stream.requestBatch('', question);
    const nothing: BatchAnswer = { kind: 'answer', messages: [] };
    store(burnt(1));
    const lagging = batch([() => Promise.resolve(behind), () => Promise.resolve(nothing)]);
    expect(await readBy(lagging, END)).toMatchObject({ kind: 'read', value: { notes: 'note', state: { on: false } } });
    const ever = batch([behind, behind, behind].map((each) => () => Promise.resolve(each)));
    expect(await readBy(ever, END)).toEqual({ kind: 'unavailable', why: 'the server that answers lags behind' });
  });

  test('is unavailable where nobody answers, and where a message is none of an agent', async () => {
    store(lit(1), noted(1), burnt(1));
    const silent = batch([() => Promise.resolve({ kind: 'lost', why: 'no answer in time' })]);
    expect(await readBy(silent, END)).toEqual({ kind: 'unavailable', why: 'no answer in time' });
    store(['odd.noted', 1, {}], burnt(1));
    expect(await readBy(stream, END, true)).toMatchObject({ kind: 'unavailable' });
  });
});

test('an entity is read from the leader where that is asked for', async () => {
  store(lit(1));
  const asked: string[] = [];
  const spy: RequestPort = {
    request: (subject, payload, headers) => {
      asked.push(subject);
      return stream.request(subject, payload, headers);
    },
    requestBatch: (subject, payload) => stream.requestBatch(subject, payload),
  };
  await readBy(spy, 0);
  await readBy(spy, 0, true);
  expect(asked).toEqual(['$JS.API.DIRECT.GET.ENTITIES_lamp.ent.lamp.e.>', '$JS.API.STREAM.MSG.GET.ENTITIES_lamp']);
});
