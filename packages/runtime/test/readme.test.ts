/** Hunts a README whose code does not run, or whose answers are not the real ones. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url).pathname;
const fence = (language: string): RegExp => new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm');

let readme: string;
let folder: string;
let server: NatsServer;
let connection: NatsConnection;
const agents: ChildProcess[] = [];
let served: Promise<void>[] | undefined;

function blocks(language: string, text = readme): string[] {
  return [...text.matchAll(fence(language))].map((match) => match[1] as string);
}

/** Runs code as it stands in the README, except for the address of the server. */
async function program(name: string, code: string): Promise<string[]> {
  const file = join(folder, name);
  const addressed = code
    .replace('startAgent(seats)', `startAgent(seats, { nats: { servers: '${server.url}' } })`)
    .replace('connectMesh()', `connectMesh({ servers: '${server.url}' })`);
  await writeFile(file, addressed);
  return ['--conditions=@meshforge/source', '--import', import.meta.resolve('tsx'), file];
}

function startAgent(args: readonly string[]): void {
  agents.push(spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, NATS_URL: server.url } }));
}

async function untilServed(agent: string): Promise<void> {
  await expect
    .poll(
      () =>
        connection.request(`$SRV.PING.${agent}`).then(
          () => true,
          () => false,
        ),
      { timeout: 20_000 },
    )
    .toBe(true);
}

/** The agents that ship with MeshForge; started once. */
function serveApps(): Promise<unknown> {
  served ??= ['inventory', 'lock-manager'].map((app) => {
    const main = join(root, 'apps', app, 'src/main.ts');
    startAgent(['--conditions=@meshforge/source', '--import', import.meta.resolve('tsx'), main]);
    return untilServed(app === 'inventory' ? app : 'sys_lock_manager');
  });
  return Promise.all(served);
}

beforeAll(async () => {
  readme = await readFile(join(root, 'README.md'), 'utf8');
  // Inside this package, so that its own name and its dependencies resolve as they do for its users.
  folder = await mkdtemp(new URL('../.readme-', import.meta.url).pathname);
  server = await startNatsServer();
  connection = await connect({ servers: server.url });
});

afterAll(async () => {
  for (const agent of agents) {
    agent.kill('SIGKILL');
    if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
  }
  await connection.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

test('the first agent runs, and answers the commands as the README shows', async () => {
  startAgent(await program('seats.ts', blocks('ts')[0] as string));
  await untilServed('seats');
  const shown = [...(blocks('console')[0] as string).matchAll(/^\$ nats request (\S+) '(.*)'\n(.*)$/gm)];
  expect(shown).toHaveLength(2);
  for (const [, subject, body, answer] of shown as unknown as [string, string, string, string][]) {
    const reply = await connection.request(subject, body);
    expect(reply.string()).toBe(answer);
  }
});

test('the client code runs against the agents that ship with MeshForge', async () => {
  await serveApps();
  const { stdout } = await promisify(execFile)(process.execPath, await program('client.ts', blocks('ts')[1] as string));
  expect(stdout).toMatch(/^bolt: version 3, quantity 21\n$/);
});

test('the page on locks runs', async () => {
  const page = await readFile(join(root, 'docs/locks.md'), 'utf8');
  const [code, ...others] = blocks('ts', page);
  expect(others).toEqual([]);
  await serveApps();
  const { stdout } = await promisify(execFile)(process.execPath, await program('page-on-locks.ts', code ?? ''));
  expect(stdout).toBe('stale_token\nthe ladder: held\n');
});

test("the runtime's own README runs", async () => {
  const own = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [rules, durable, reactions, locks, ...others] = blocks('ts', own);
  expect(others).toEqual([]);
  await expect(promisify(execFile)(process.execPath, await program('rules.ts', rules ?? ''))).resolves.toBeDefined();
  await serveApps();
  const queued = await promisify(execFile)(process.execPath, await program('durable.ts', durable ?? ''));
  expect(queued.stdout).toBe('the durable command: committed\ncancelled in time: true\ndead letters: 0\n');
  const reacted = await promisify(execFile)(process.execPath, await program('reactions.ts', reactions ?? ''));
  expect(reacted.stdout).toBe('orders: 1\n');
  const { stdout } = await promisify(execFile)(process.execPath, await program('locks.ts', locks ?? ''));
  expect(stdout).toBe('ladder: held\nshelf: sorted\n');
});
