// Hunts: entities that a stopped run leaves behind, and a run that cannot be stopped.
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { Interrupted, runSmoke } from '../src/index.ts';
import { startFakeAgents, type FakeAgents } from './fake-agents.ts';
import { startSmoke } from './smoke-process.ts';

let server: NatsServer;

beforeAll(async () => {
  server = await startNatsServer();
}, 300_000);

afterAll(async () => await server.stop());

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s ends the run with code 130 after removing what it made',
  async (signal) => {
    const agents = await startFakeAgents(server.url, 'always yes', 20);
    onTestFinished(async () => await agents.stop());
    const { child, finished } = startSmoke(['--verbose'], { NATS_URL: server.url });
    await vi.waitFor(() => expect(entitiesOf(agents, 'cmd.inventory.update')).not.toEqual([]), { timeout: 20_000 });
    child.kill(signal);
    const { code, stdout, stderr } = await finished;
    expect(stderr).toContain('interrupted: removing what this run made');
    expect(code).toBe(130);
    expect(stdout).not.toContain(' passed, ');
    const created = entitiesOf(agents, 'cmd.inventory.create');
    expect(created.length).toBeGreaterThan(0);
    expect(entitiesOf(agents, 'cmd.inventory.delete')).toEqual(expect.arrayContaining(created));
  },
);

test('runSmoke throws Interrupted when its signal aborts, also while it waits for a server', async () => {
  const connection = { servers: ['nats://127.0.0.1:1'] };
  const run = runSmoke({ connection, readyTimeoutMs: 60_000, signal: AbortSignal.timeout(100) });
  await expect(run).rejects.toThrow(Interrupted);
});

test('a server that goes away fails the checks that are left instead of waiting for each of them', async () => {
  const doomed = await startNatsServer();
  const fakes = await startFakeAgents(doomed.url, 'always yes');
  let results = 0;
  const report = await runSmoke({
    connection: { servers: [doomed.url] },
    onResult: () => {
      if (++results === 1) void doomed.kill('SIGKILL');
    },
  });
  expect(report.failed).toBeGreaterThan(80);
  expect(report.checks.at(-1)?.error).toContain('the connection is closed');
  await fakes.stop();
  await doomed.stop();
});

function entitiesOf({ commands }: FakeAgents, subject: string): string[] {
  const begin = `${subject} `;
  return commands.filter((command) => command.startsWith(begin)).map((command) => command.slice(begin.length));
}
