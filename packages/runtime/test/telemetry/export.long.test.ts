// Hunts: telemetry that does not leave the process, or that keeps it from starting, serving or ending.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { INVENTORY } from '../edges/support/mesh.ts';
import { startAgentProcess, type AgentProcess } from '../support/agent-process.ts';
import { endWithTest } from '../support/end-with-test.ts';
import { until } from '../support/until.ts';
import { headers, openConnection } from '../support/wire.ts';
import { Collector } from './collector.ts';

vi.setConfig({ testTimeout: 120_000 });

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

let server: NatsServer;
let entities = 0;

beforeAll(async () => {
  server = await startNatsServer();
});

afterAll(async () => {
  await server?.stop();
});

async function start(env: Readonly<Record<string, string>>, imports: readonly string[] = []): Promise<AgentProcess> {
  const { main, name } = INVENTORY;
  return endWithTest(await startAgentProcess({ name, main, natsUrl: server.url, env, imports }));
}

/** A command that commits; answers the traceparent of its reply. */
async function command(): Promise<string | undefined> {
  const client = endWithTest(await openConnection(server.url));
  const sent = headers();
  sent.set('traceparent', PARENT);
  const body = JSON.stringify({ entity_id: `e${++entities}`, data: { name: 'bolt' } });
  const reply = await client.request('cmd.inventory.create', body, { headers: sent, timeout: 10_000 });
  expect(reply.json()).toMatchObject({ event: 'evt.inventory.created' });
  return reply.headers?.get('traceparent');
}

const GONE = 'telemetry cannot be exported; the agent goes on without';

test('traces and metrics go to the collector, what is left at the end too', async () => {
  const collector = endWithTest(await Collector.start());
  const agent = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_METRIC_EXPORT_INTERVAL: '200' });
  expect(await command()).not.toBe(PARENT);
  await until('metrics are exported', () => collector.metrics.length > 0);
  await command();
  expect(await agent.terminate()).toEqual({ code: 0, signal: null });
  expect(collector.spans.map(({ name, parentSpanId, traceId }) => ({ name, parentSpanId, traceId }))).toEqual(
    Array.from({ length: 2 }, () => ({
      name: 'process cmd.inventory.create',
      traceId: PARENT.slice(3, 35),
      parentSpanId: PARENT.slice(36, 52),
    })),
  );
  expect(collector.metrics).toEqual(['meshforge.command.duration', 'meshforge.commands', 'meshforge.commit.duration']);
  expect(collector.resources('service.name')).toEqual(['inventory']);
  expect(collector.resources('service.instance.id')).toEqual([expect.stringMatching(/^[\da-f-]{36}$/)]);
});

test('one signal alone can be exported, under another name', async () => {
  const collector = endWithTest(await Collector.start());
  const agent = await start({
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${collector.url}/v1/metrics`,
    OTEL_SERVICE_NAME: 'stock',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  });
  expect(await command()).toBe(PARENT);
  await agent.terminate();
  expect(collector.spans).toEqual([]);
  expect(collector.metrics).toContain('meshforge.commands');
  expect(collector.resources('service.name')).toEqual(['stock']);
  expect(collector.resources('deployment.environment.name')).toEqual(['test']);
});

test('a collector that is not there is logged once, and keeps nobody from working', async () => {
  const agent = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    OTEL_METRIC_EXPORT_INTERVAL: '100',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  });
  await command();
  await until('it says so', () => agent.log.includes(GONE));
  await command();
  expect(await agent.terminate()).toEqual({ code: 0, signal: null });
  expect(agent.log.split(GONE)).toHaveLength(2);
});

test('a collector that never answers keeps nobody from working, and no process from ending', async () => {
  const collector = endWithTest(await Collector.start({ isDeaf: true }));
  const agent = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '50' });
  await command();
  await command();
  // The way to the exit may take 15 s; after that the code would not be 0.
  expect(await agent.terminate()).toEqual({ code: 0, signal: null });
});

test('an address that is none keeps nobody from working', async () => {
  const agent = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'not an address' });
  await command();
  expect(await agent.terminate()).toEqual({ code: 0, signal: null });
});

test('without the SDK the agent says what to install, and works', async () => {
  const missing = `export const resolve = async (name, context, next) => {
    if (!name.startsWith('@opentelemetry/sdk')) return await next(name, context);
    throw Object.assign(new Error('no ' + name), { code: 'ERR_MODULE_NOT_FOUND' });
  };`;
  const url = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
  const withoutSdk = url(`import { register } from 'node:module'; register(${JSON.stringify(url(missing))});`);
  const agent = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }, [withoutSdk]);
  expect(await command()).toBe(PARENT);
  expect(agent.log).toMatch(/cannot be: install @opentelemetry\/exporter-metrics-otlp-http, /);
  expect(await agent.terminate()).toEqual({ code: 0, signal: null });
});
