/** Hunts leases that live on after their end, and notes that are lost with it, in a log whose messages do not tell all. */
import { headers as newHeaders, type Msg } from '@nats-io/nats-core';
import type { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import { beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { annotate, commit, defineAgent } from '../src/core/agent.ts';
import { EntityReader } from '../src/nats/entity-reader.ts';
import type { RequestPort } from '../src/nats/requester.ts';
import { utf8 } from '../src/nats/utf8.ts';
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
  },
  lease: { expiryEvent: 'burnt', events: ['lit'], expire: () => ({ on: false }) },
});

const lit = ['lit', 1, { 'Nats-Schedule': `@at ${new Date(END).toISOString()}` }] as const;
const noted = ['noted', 1, { 'Mesh-Aside': 'remembered', 'Mesh-Lease': `lit 1 ${END}`, 'Mesh-Notes': 'note' }] as const;
const burnt = ['burnt', 1, { 'Nats-Scheduler': 'ent.lamp.e.lit', 'Nats-Schedule-Next': 'purge' }] as const;

let stream: SimulatedStream;
beforeEach(() => (stream = new SimulatedStream(() => 'none', true)));

function store(...messages: (readonly [event: string, version: number, lines: object])[]): void {
  for (const [event, version, lines] of messages) {
    const headers = newHeaders();
    for (const [name, value] of Object.entries(lines)) headers.set(name, String(value));
    const body = { entity_id: 'e', entity_version: version, state: { on: true } };
    const data = Buffer.from(JSON.stringify(body));
    stream.messages.push({ subject: `ent.lamp.e.${event}`, sequence: stream.messages.length + 1, headers, data });
  }
}

/** A replicated stream: followers answer Direct Gets, without what lags, and the leader answers the others. */
function replicated(lags: string): RequestPort {
  return {
    request: async (subject, payload, headers) => {
      const direct = '$JS.API.DIRECT.GET.S.';
      if (subject.startsWith('$JS.API.DIRECT.GET.')) {
        return await stream.request(subject.endsWith(lags) ? `${direct}none` : subject, payload, headers);
      }
      const { last_by_subj: wanted } = JSON.parse(Buffer.from(payload).toString()) as { last_by_subj: string };
      const found = await stream.request(`${direct}${wanted}`, payload, headers);
      if (found.kind !== 'answer') return found;
      const { data, headers: lines } = found.message as unknown as { data: Uint8Array; headers: MsgHdrsImpl };
      const error = { code: 404, err_code: 10_037, description: 'no message found' };
      const message = {
        subject: lines.get('Nats-Subject'),
        seq: Number(lines.get('Nats-Sequence')),
        time: lines.get('Nats-Time-Stamp'),
        hdrs: Buffer.from(lines.encode()).toString('base64'),
        data: Buffer.from(data).toString('base64'),
      };
      const body = lines.code === 404 ? { error } : { message };
      return { kind: 'answer', message: { data: utf8(JSON.stringify(body)), json: () => body } as unknown as Msg };
    },
  };
}

async function read(now: number, lags = 'nothing') {
  const found = await new EntityReader(lamp, replicated(lags), 3, () => now).entity('e', false);
  if (found.kind !== 'read') return expect.unreachable(found.why);
  const { lease, notes, sequence, state } = found.value;
  return { lease, notes, sequence, state };
}

test('what leaves a lease alone revives it no more, where it comes behind its end', async () => {
  store(lit, burnt, noted);
  expect(await read(END)).toEqual({ lease: undefined, notes: 'note', sequence: 3, state: { on: false } });
});

test('a lease that was left alone stands until the log ends it', async () => {
  store(['burnt', 7, burnt[2]], lit, noted);
  const standing = { endsAt: END, event: 'lit', version: 1 };
  expect(await read(END)).toEqual({ lease: standing, notes: 'note', sequence: 3, state: { on: true } });
});

test('notes that a follower does not have yet outlive the lease', async () => {
  store(lit, noted, burnt);
  expect(await read(END, '.noted')).toEqual({ lease: undefined, notes: 'note', sequence: 3, state: { on: false } });
});
