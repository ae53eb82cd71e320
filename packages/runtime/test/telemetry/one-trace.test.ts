// Hunts: a trace that breaks on its way over three agents and two subscribers, spans with a wrong parent, and attributes
// that say something else than what happened.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { context, propagation, SpanKind, SpanStatusCode, trace, type Span, type SpanContext } from '@opentelemetry/api';
import { AlwaysOffSampler } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  command as lead,
  connectMesh,
  defineAgent,
  reject,
  startAgent,
  type Mesh,
  type RunningAgent,
} from '../../src/index.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { readCommits } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { headers, openConnection } from '../support/wire.ts';
import { Recorder } from './recorder.ts';

/** Takes one command that tells of it, and one that is refused. */
const stage = (name: string) =>
  defineAgent({
    name,
    state: z.object({ from: z.string() }),
    actions: {
      enter: {
        data: z.object({ from: z.string() }),
        event: 'entered',
        entity: 'any',
        rule: (_state, { from }) => ({ from }),
      },
      bar: { data: z.object({}), event: 'barred', entity: 'any', rule: () => reject('closed', 'nobody gets in') },
    },
  });
const [first, second, third] = [stage('first'), stage('second'), stage('third')] as const;

let server: NatsServer;
let agents: RunningAgent[];
let mesh: Mesh;
let recorder: Recorder;

beforeAll(async () => {
  server = await startNatsServer();
  recorder = new Recorder();
  // What is active when the connections are opened is nobody's parent.
  await inSpan('start', async () => {
    agents = await Promise.all(
      [first, second, third].map((agent) => startAgent(agent, { nats: { servers: server.url } })),
    );
    mesh = await connectMesh({ servers: server.url });
  });
});

afterAll(async () => {
  await mesh?.close();
  await Promise.all((agents ?? []).map((agent) => agent.stop()));
  await recorder?.stop();
  await server?.stop();
});

beforeEach(() => recorder.forget());

function inSpan<T>(name: string, work: (span: Span) => Promise<T>): Promise<T> {
  return trace.getTracer('test').startActiveSpan(name, async (span) => await work(span).finally(() => span.end()));
}

/** Each span is the child of the one before, and the first of the root. */
function expectChain(root: SpanContext, chain: readonly (readonly [name: string, kind: SpanKind])[]): void {
  let parent = root.spanId;
  for (const [name, kind] of chain) {
    const span = recorder.span(name, kind);
    expect({ trace: span.spanContext().traceId, parent: span.parentSpanContext?.spanId }, `of ${name}`).toEqual({
      trace: root.traceId,
      parent,
    });
    parent = span.spanContext().spanId;
  }
}

test('from a client over three agents and two subscribers there is one trace, each span the child of its cause', async () => {
  const onFirst = await mesh.subscribe(first, { durable: 'one' }, async ({ entityId, event }) => {
    await mesh.request(second, 'enter', { entityId, data: { from: event } });
  });
  const onSecond = await mesh.subscribe(second, { durable: 'two' }, async ({ entityId, event }) => {
    await mesh.request(third, 'enter', { entityId, data: { from: event } });
  });
  const root = await inSpan('root', async (span) => {
    const outcome = await mesh.request(first, 'enter', {
      entityId: 'é"1',
      data: { from: 'client' },
      correlationId: 'c-1',
      commandId: 'm-1',
    });
    expect(outcome.kind).toBe('committed');
    return span.spanContext();
  });
  await until('the third agent has it', async () => (await mesh.get(third, 'é"1')) !== undefined);
  await Promise.all([onFirst.stop(), onSecond.stop()]);

  const chain = [
    ['request cmd.first.enter', SpanKind.CLIENT],
    ['process cmd.first.enter', SpanKind.SERVER],
    ['process evt.first.entered', SpanKind.CONSUMER],
    ['request cmd.second.enter', SpanKind.CLIENT],
    ['process cmd.second.enter', SpanKind.SERVER],
    ['process evt.second.entered', SpanKind.CONSUMER],
    ['request cmd.third.enter', SpanKind.CLIENT],
    ['process cmd.third.enter', SpanKind.SERVER],
  ] as const;
  expectChain(root, chain);
  expect(recorder.spans).toHaveLength(chain.length + 1);

  const common = {
    'messaging.system': 'nats',
    'meshforge.agent': 'first',
    'meshforge.entity_id': 'é"1',
    'meshforge.entity_version': 1,
    'meshforge.command_id': 'm-1',
    'messaging.message.conversation_id': 'c-1',
  };
  const command = { ...common, 'meshforge.action': 'enter', 'messaging.destination.name': 'cmd.first.enter' };
  expect(recorder.span('request cmd.first.enter', SpanKind.CLIENT).attributes).toEqual({
    ...command,
    'messaging.operation.name': 'request',
    'messaging.operation.type': 'send',
    'meshforge.outcome': 'committed',
  });
  const processed = { 'messaging.operation.name': 'process', 'messaging.operation.type': 'process' };
  expect(recorder.span('process cmd.first.enter', SpanKind.SERVER).attributes).toEqual({
    ...command,
    ...processed,
    'meshforge.outcome': 'committed',
  });
  expect(recorder.span('process evt.first.entered', SpanKind.CONSUMER).attributes).toEqual({
    ...common,
    ...processed,
    'messaging.destination.name': 'evt.first.entered',
    'messaging.destination.subscription.name': 'one',
    'meshforge.event': 'entered',
  });
});

test('a durable command, reactions and their durable commands are one trace through three agents', async () => {
  const enter = (agent: typeof first) => (event: { entityId: string; event: string }) =>
    lead(agent, 'enter', { entityId: event.entityId, data: { from: event.event } });
  const reactions = [
    await mesh.react(first, { name: 'to_second', from: 'now' }, enter(second)),
    await mesh.react(second, { name: 'to_third', from: 'now' }, enter(third)),
  ];
  const root = await inSpan('root', async (span) => {
    await mesh.send(first, 'enter', { entityId: 'durable', data: { from: 'client' } });
    return span.spanContext();
  });
  await until('the third agent has it', async () => (await mesh.get(third, 'durable')) !== undefined);
  await Promise.all(reactions.map((reaction) => reaction.stop()));
  const chain = [
    ['send queue.cmd.first.*.enter', SpanKind.PRODUCER],
    ['process queue.cmd.first.*.enter', SpanKind.CONSUMER],
    ['process evt.first.entered', SpanKind.CONSUMER],
    ['send queue.cmd.second.*.enter', SpanKind.PRODUCER],
    ['process queue.cmd.second.*.enter', SpanKind.CONSUMER],
    ['process evt.second.entered', SpanKind.CONSUMER],
    ['send queue.cmd.third.*.enter', SpanKind.PRODUCER],
    ['process queue.cmd.third.*.enter', SpanKind.CONSUMER],
  ] as const;
  expectChain(root, chain);
});

test('a command that nothing caused begins a trace, and its event and answer carry that of the agent', async () => {
  const client = endWithTest(await openConnection(server.url));
  const reply = await client.request('cmd.first.enter', '{"entity_id":"alone","data":{"from":"raw"}}');
  const span = recorder.span('process cmd.first.enter', SpanKind.SERVER);
  expect(span.parentSpanContext).toBeUndefined();
  const { spanId, traceId } = span.spanContext();
  expect(reply.headers?.get('traceparent')).toBe(`00-${traceId}-${spanId}-01`);
  const commits = await readCommits(client, 'first');
  const stored = commits.find(({ entityId }) => entityId === 'alone')?.headers;
  expect(stored?.get('traceparent')).toBe(`00-${traceId}-${spanId}-01`);
});

test('baggage passes as it came, and a tracestate as long as its traceparent does', async () => {
  const client = endWithTest(await openConnection(server.url));
  const given = headers();
  given.set('traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
  given.set('tracestate', 'vendor=value');
  given.set('baggage', 'key=%,odd = v%20w');
  const body = '{"entity_id":"b","data":{"from":"raw"}}';
  const reply = await client.request('cmd.first.enter', body, { headers: given, timeout: 5_000 });
  const { spanId } = recorder.span('process cmd.first.enter', SpanKind.SERVER).spanContext();
  expect(reply.headers?.get('traceparent')).toBe(`00-4bf92f3577b34da6a3ce929d0e0e4736-${spanId}-01`);
  expect(reply.headers?.get('tracestate')).toBe('vendor=value');
  expect(reply.headers?.values('baggage')).toEqual(['key=%,odd = v%20w']);
});

test("the sender's baggage goes along", async () => {
  const baggage = propagation.createBaggage({ tenant: { value: 'blue' } });
  const active = propagation.setBaggage(context.active(), baggage);
  await context.with(active, () => mesh.request(first, 'enter', { entityId: 'bag', data: { from: '' } }));
  const client = endWithTest(await openConnection(server.url));
  const stored = (await readCommits(client, 'first')).find(({ entityId }) => entityId === 'bag');
  expect(stored?.headers.get('baggage')).toBe('tenant=blue');
});

test('a trace context that the sender names goes before the active one, and the span has a link to it', async () => {
  const [traceId, spanId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
  await inSpan('root', async () => {
    const named = { traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'vendor=value' };
    await mesh.request(first, 'enter', { entityId: 'named', data: { from: '' }, trace: named });
  });
  const processed = recorder.span('process cmd.first.enter', SpanKind.SERVER);
  expect(processed.parentSpanContext).toMatchObject({ traceId, spanId });
  expect(processed.spanContext().traceState?.serialize()).toBe('vendor=value');
  const sent = recorder.span('request cmd.first.enter', SpanKind.CLIENT);
  expect(sent.parentSpanContext?.spanId).toBe(recorder.span('root', SpanKind.INTERNAL).spanContext().spanId);
  expect(sent.links.map(({ context: of }) => of.spanId)).toEqual([spanId]);
});

test('a command of this process is a child of what is active', async () => {
  await inSpan('root', async () => {
    await agents[0]?.execute('enter', { entityId: 'here', data: { from: '' } });
  });
  const processed = recorder.span('process cmd.first.enter', SpanKind.INTERNAL);
  expect(processed.parentSpanContext?.spanId).toBe(recorder.span('root', SpanKind.INTERNAL).spanContext().spanId);
});

test('a durable command is a child of whoever sent it, and its event continues that', async () => {
  await inSpan('root', async () => {
    const sent = await mesh.send(first, 'enter', { entityId: 'queued', data: { from: '' } });
    expect(await sent.outcome()).toMatchObject({ kind: 'committed' });
  });
  const sent = recorder.span('send queue.cmd.first.*.enter', SpanKind.PRODUCER);
  expect(sent.parentSpanContext?.spanId).toBe(recorder.span('root', SpanKind.INTERNAL).spanContext().spanId);
  const executed = recorder.span('process queue.cmd.first.*.enter', SpanKind.CONSUMER);
  expect(executed.parentSpanContext?.spanId).toBe(sent.spanContext().spanId);
  const client = endWithTest(await openConnection(server.url));
  const stored = (await readCommits(client, 'first')).find(({ entityId }) => entityId === 'queued');
  expect(stored?.headers.get('traceparent')).toContain(executed.spanContext().spanId);
});

test('a refusal is no error of its span; an action that nobody knows names no span', async () => {
  await mesh.request(first, 'bar', { entityId: 'r' });
  const barred = recorder.span('process cmd.first.bar', SpanKind.SERVER);
  expect(barred.attributes).toMatchObject({ 'meshforge.outcome': 'rejected', 'meshforge.code': 'closed' });
  expect(barred.attributes['meshforge.entity_id']).toBe('r');
  expect(barred.status.code).toBe(SpanStatusCode.UNSET);
  const client = endWithTest(await openConnection(server.url));
  await client.request('cmd.first.anything', '{"entity_id":"r"}');
  const unknown = recorder.span('process cmd.first.*', SpanKind.SERVER);
  expect(unknown.attributes).toMatchObject({ 'meshforge.action': 'unknown', 'meshforge.code': 'unknown_action' });
});

test('a request without an answer, and a handler that fails, are errors of their spans', async () => {
  await expect(
    mesh.request(stage('nobody'), 'enter', { entityId: 'a', data: { from: '' }, timeoutMs: 50 }),
  ).rejects.toMatchObject({ code: 'unavailable' });
  expect(recorder.span('request cmd.nobody.enter', SpanKind.CLIENT)).toMatchObject({
    status: { code: SpanStatusCode.ERROR },
    attributes: { 'error.type': 'unavailable' },
  });
  const failing = await mesh.subscribe(third, { durable: 'failing', from: 'now' }, () => {
    throw new RangeError('not today');
  });
  await mesh.request(third, 'enter', { entityId: 'f', data: { from: '' } });
  await until('it has failed', () => recorder.spans.some(({ kind }) => kind === SpanKind.CONSUMER));
  await failing.stop();
  expect(recorder.spans.find(({ kind }) => kind === SpanKind.CONSUMER)).toMatchObject({
    status: { code: SpanStatusCode.ERROR, message: 'not today' },
    attributes: { 'error.type': 'RangeError' },
  });
});

describe('what is not sampled', () => {
  test('makes no span, and is carried on as such', async () => {
    await recorder.stop();
    recorder = new Recorder({ sampler: new AlwaysOffSampler() });
    await mesh.request(first, 'enter', { entityId: 'off', data: { from: '' } });
    expect(recorder.spans).toEqual([]);
    const client = endWithTest(await openConnection(server.url));
    const stored = (await readCommits(client, 'first')).find(({ entityId }) => entityId === 'off');
    expect(stored?.headers.get('traceparent')).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-00$/);
    await recorder.stop();
    recorder = new Recorder();
  });
});
