// Hunts: trace headers that fail a command, that reach the log unchecked, or that are touched where nobody traces.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { context, metrics, ROOT_CONTEXT, SpanKind, trace, TraceFlags, type TraceState } from '@opentelemetry/api';
import type { NatsConnection } from '@nats-io/nats-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectMesh, startAgent, type Mesh, type RunningAgent } from '../../src/index.ts';
import { tally, tallyContract } from '../integration/tally.ts';
import { readCommits } from '../support/stream-witness.ts';
import { headers, openConnection } from '../support/wire.ts';
import { Recorder } from './recorder.ts';

const TRACE = ['traceparent', 'tracestate', 'baggage'] as const;
type Trace = Partial<Record<(typeof TRACE)[number], string>>;

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

/** What no tracer has sent. */
const ODD: readonly (readonly [what: string, given: Trace])[] = [
  ['a traceparent that is none', { traceparent: 'garbage' }],
  ['a traceparent of zeros', { traceparent: `00-${'0'.repeat(32)}-${'0'.repeat(16)}-00` }],
  ['a traceparent of no known version', { traceparent: `ff${PARENT.slice(2)}` }],
  ['a traceparent of another system', { traceparent: '1-67891233-abcdef012345678912345678;Sampled=1' }],
  ['a traceparent that goes on', { traceparent: `${PARENT}-more` }],
  ['a tracestate without a traceparent', { tracestate: 'vendor=value' }],
  ['a tracestate that is none', { traceparent: PARENT, tracestate: '=,=;;{"a":1}' }],
  ['a tracestate of 100,000 characters', { traceparent: PARENT, tracestate: `vendor=${'v'.repeat(100_000)}` }],
  ['a baggage that cannot be decoded', { baggage: '%=%,=,;;a=%zz' }],
  ['a baggage of 100,000 characters', { traceparent: PARENT, baggage: `key=${'v'.repeat(100_000)}` }],
];

let server: NatsServer;
let agent: RunningAgent;
let client: NatsConnection;
let mesh: Mesh;
let entities = 0;

beforeAll(async () => {
  server = await startNatsServer();
  agent = await startAgent(tally, { nats: { servers: server.url } });
  client = await openConnection(server.url);
  mesh = await connectMesh({ servers: server.url });
});

afterAll(async () => {
  await mesh?.close();
  await client?.close();
  await agent?.stop();
  await server?.stop();
});

async function storedOf(entityId: string): Promise<Trace> {
  const commit = (await readCommits(client, 'tally')).find((found) => found.entityId === entityId);
  const found = TRACE.filter((name) => commit?.headers.has(name)).map((name) => [name, commit?.headers.get(name)]);
  return Object.fromEntries(found) as Trace;
}

/** Sends a good command with these headers, which must succeed; answers what of them is in the log. */
async function storedWith(given: Trace): Promise<Trace> {
  const entityId = `e${++entities}`;
  const sent = headers();
  for (const [name, value] of Object.entries(given)) sent.set(name, value);
  const reply = await client.request('cmd.tally.open', `{"entity_id":"${entityId}"}`, {
    headers: sent,
    timeout: 5_000,
  });
  expect(reply.json()).toMatchObject({ event: 'evt.tally.opened' });
  const stored = await storedOf(entityId);
  for (const name of TRACE) expect(reply.headers?.get(name), `header ${name}`).toBe(stored[name] ?? '');
  return stored;
}

/** Only what is too long is left out. */
function fitting(given: Trace): Trace {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value.length <= 4_096)) as Trace;
}

describe('where nobody traces', () => {
  test.each([...ODD, ['everything', { traceparent: PARENT, tracestate: 'a=b,c=d', baggage: 'k = v;p=1' }] as const])(
    '%s is in the log as it was sent',
    async (_what, given) => {
      expect(await storedWith(given)).toEqual(fitting(given));
    },
  );

  test('what the client sends is what it was given', async () => {
    const given = { traceparent: PARENT, tracestate: 'a=b', baggage: 'k=v' };
    await mesh.request(tallyContract, 'open', { entityId: 'given', trace: given });
    await mesh.request(tallyContract, 'open', { entityId: 'nothing' });
    await agent.execute('open', { entityId: 'here', trace: given });
    expect(await storedOf('given')).toEqual(given);
    expect(await storedOf('nothing')).toEqual({});
    expect(await storedOf('here')).toEqual(given);
  });
});

describe('where somebody traces', () => {
  let recorder: Recorder;
  beforeAll(() => {
    recorder = new Recorder();
  });
  afterAll(() => recorder.stop());

  test.each(ODD)('%s fails no command', async (_what, given) => {
    recorder.forget();
    const { baggage, traceparent, tracestate } = await storedWith(given);
    const span = recorder.span('process cmd.tally.open', SpanKind.SERVER);
    const { spanId, traceId } = span.spanContext();
    expect(traceparent).toBe(`00-${traceId}-${spanId}-01`);
    const isContinued = given.traceparent === PARENT;
    expect(span.parentSpanContext?.spanId).toBe(isContinued ? '00f067aa0ba902b7' : undefined);
    expect(tracestate).toBeUndefined();
    expect(baggage).toBe(fitting(given).baggage);
  });

  test('a tracestate that is too long for the wire is left behind', async () => {
    const traceState = { serialize: () => 'v'.repeat(100_000) } as TraceState;
    const active = trace.setSpanContext(ROOT_CONTEXT, {
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      spanId: '00f067aa0ba902b7',
      traceFlags: TraceFlags.SAMPLED,
      traceState,
    });
    await context.with(active, () => mesh.request(tallyContract, 'open', { entityId: 'long' }));
    const stored = await storedOf('long');
    expect(stored.traceparent).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-/);
    expect(stored.tracestate).toBeUndefined();
  });
});

describe('an SDK that fails', () => {
  const fail = (): never => {
    throw new Error('broken');
  };
  const tracer = { startSpan: fail, startActiveSpan: fail };
  test.each([
    ['in all that its tracer does', { getTracer: () => tracer }],
    ['even to give a tracer', { getTracer: fail }],
  ])('%s fails no command', async (_what, provider) => {
    trace.setGlobalTracerProvider(provider);
    metrics.setGlobalMeterProvider({ getMeter: fail });
    try {
      expect(await storedWith({ traceparent: PARENT })).toEqual({ traceparent: PARENT });
      const entityId = `e${++entities}`;
      expect(await mesh.request(tallyContract, 'open', { entityId })).toMatchObject({ kind: 'committed' });
    } finally {
      trace.disable();
      metrics.disable();
    }
  });
});
