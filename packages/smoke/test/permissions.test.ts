// Hunts: a run that needs more than a client may do, and a refusal that looks like a broken mesh.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { nkeys } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CannotRun, runSmoke, type SmokeOptions, type SmokeReport } from '../src/index.ts';
import { startFakeAgents, type FakeAgents } from './fake-agents.ts';

const users = { client: nkeys.createUser(), deaf: nkeys.createUser(), stranger: nkeys.createUser() };
const publish = 'publish: { allow: ["cmd.>", "qry.>", "$SRV.>"] }';
const configText = `
authorization {
  users: [
    { user: fakes, password: fakes }
    { nkey: ${users.client.getPublicKey()}
      permissions { ${publish}, subscribe: { allow: ["evt.>", "_INBOX_client.>"] } } }
    { nkey: ${users.deaf.getPublicKey()}
      permissions { ${publish}, subscribe: { allow: ["_INBOX.>"] } } }
  ]
}
no_auth_user: fakes
`;

let server: NatsServer;
let agents: FakeAgents;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'meshforge-smoke-'));
  for (const [name, user] of Object.entries(users)) await writeFile(join(directory, name), user.getSeed());
  server = await startNatsServer({ configText });
  agents = await startFakeAgents(server.url, 'always yes');
}, 300_000);

afterAll(async () => {
  await agents.stop();
  await server.stop();
  await rm(directory, { recursive: true });
});

async function runAs(user: keyof typeof users, options: SmokeOptions = {}): Promise<SmokeReport> {
  const connection = { servers: [server.url], nkeySeedFile: join(directory, user) };
  return await runSmoke({ connection, readyTimeoutMs: 2_000, patienceMs: 500, ...options });
}

test('a client with no rights beyond PROTOCOL’s runs with the inbox prefix of its own', async () => {
  const report = await runAs('client', { inboxPrefix: '_INBOX_client', only: 'a created entity has version 1' });
  expect(report).toMatchObject({ passed: 1, failed: 0 });
});

test('a client that may not read the stream SIGNALS skips that check', async () => {
  const report = await runAs('client', { inboxPrefix: '_INBOX_client', only: 'SIGNALS' });
  expect(report).toMatchObject({ passed: 0, failed: 0, skipped: 1 });
  expect(report.checks[0]).toMatchObject({ ok: true, skipped: 'this user may not read the stream' });
});

test('a client that may not send durable commands skips those checks, and leaves nothing to clean up', async () => {
  const leftovers: string[] = [];
  const onLeftover = (text: string): void => void leftovers.push(text);
  const report = await runAs('client', { inboxPrefix: '_INBOX_client', only: 'durable command', onLeftover });
  expect(report).toMatchObject({ passed: 0, failed: 0 });
  expect(report.skipped).toBeGreaterThan(3);
  for (const { skipped } of report.checks) expect(skipped).toBe('this user may not send durable commands');
  expect(leftovers).toEqual([]);
});

test('a client with the wrong inbox prefix is told to give its own', async () => {
  const run = runAs('client');
  await expect(run).rejects.toThrow(CannotRun);
  await expect(run).rejects.toThrow(/may not speak to the mesh[^]*--inbox-prefix/);
});

test('a user that may not subscribe events is told so', async () => {
  await expect(runAs('deaf')).rejects.toThrow(/may not see the events[^]*permission to subscribe evt\.>/);
});

test('a user whom the server does not know is told so at once', async () => {
  await expect(runAs('stranger', { readyTimeoutMs: 600_000 })).rejects.toThrow(/does not let this user in/);
});
