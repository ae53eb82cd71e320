// Hunts for a configuration that starts when it should not, or that says less than README.md promises.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeUsers, serverEnvironment } from '../src/production-users.ts';
import { shippedPath, shippedText } from '../src/shipped-files.ts';
import { checkConfiguration, startOnce } from './server-binary.ts';

const production = shippedPath('deploy/nats/production.conf');
const cluster = shippedPath('deploy/nats/production-cluster.conf');
const development = shippedPath('deploy/nats/development.conf');

let directory = '';
let env: Record<string, string> = {};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'meshforge-configurations-'));
  const keys = serverEnvironment(await makeUsers(directory));
  env = { ...keys, MESHFORGE_NATS_STORE_DIR: join(directory, 'production') };
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

const variables = [
  'MESHFORGE_NATS_STORE_DIR',
  'MESHFORGE_INVENTORY_NKEY',
  'MESHFORGE_LOCK_MANAGER_NKEY',
  'MESHFORGE_CLIENT_NKEY',
  'MESHFORGE_SUBSCRIBER_NKEY',
  'MESHFORGE_SENDER_NKEY',
  'MESHFORGE_OPERATOR_NKEY',
  'MESHFORGE_SYSTEM_NKEY',
];

describe('production.conf', () => {
  test('is valid with every variable set', async () => {
    expect(await checkConfiguration(production, env)).toMatchObject({ ok: true });
  });

  test('reads any public key as text, whatever its letters look like', async () => {
    for (let round = 0; round < 10; round++) {
      const keys = serverEnvironment(await makeUsers(directory));
      expect(await checkConfiguration(production, { ...env, ...keys })).toMatchObject({ ok: true });
    }
  });

  test.each(variables)('refuses to start without %s', async (variable) => {
    const { ok, said } = await checkConfiguration(production, { ...env, [variable]: undefined });
    expect(ok).toBe(false);
    expect(said).toContain(variable);
  });

  test.each(['', '12345', 'UNOTAKEY'])('refuses a public key %j', async (key) => {
    expect(await checkConfiguration(production, { ...env, MESHFORGE_CLIENT_NKEY: key })).toMatchObject({ ok: false });
  });

  test('refuses a seed in the place of a public key', async () => {
    const { client } = await makeUsers(directory);
    expect(await checkConfiguration(production, { ...env, MESHFORGE_CLIENT_NKEY: client.seed })).toMatchObject({
      ok: false,
    });
  });

  test('listens on 127.0.0.1 alone, and only there shows its monitoring', async () => {
    const log = await startOnce(['-c', production, '-p', '-1', '-m', '-1'], env);
    expect(log).toMatch(/Listening for client connections on 127\.0\.0\.1:/);
    expect(log).toMatch(/Starting http monitor on 127\.0\.0\.1:/);
    expect(log).toContain(`Store Directory: "${join(directory, 'production', 'jetstream')}"`);
  });

  test('listens where -a says, and still shows its monitoring on 127.0.0.1 alone', async () => {
    const log = await startOnce(['-c', production, '-a', 'localhost', '-p', '-1', '-m', '-1'], env);
    expect(log).toMatch(/Listening for client connections on localhost:/);
    expect(log).toMatch(/Starting http monitor on 127\.0\.0\.1:/);
  });
});

describe('production-cluster.conf', () => {
  test('is valid but for the certificates, which are missing here', async () => {
    const missing = join(directory, 'missing.pem');
    const { ok, said } = await checkConfiguration(cluster, {
      ...env,
      MESHFORGE_NATS_SERVER_NAME: 'n1',
      MESHFORGE_NATS_CLUSTER_LISTEN: '10.0.0.1:6222',
      MESHFORGE_NATS_CLUSTER_ROUTES: '["nats://10.0.0.1:6222", "nats://10.0.0.2:6222"]',
      MESHFORGE_NATS_TLS_CERT: missing,
      MESHFORGE_NATS_TLS_KEY: missing,
      MESHFORGE_NATS_TLS_CA: missing,
    });
    expect(ok).toBe(false);
    const complaints = said.trim().split('\n');
    expect(complaints.length).toBeGreaterThan(0);
    for (const complaint of complaints) expect(complaint).toMatch(/certificate|missing\.pem/);
  });
});

describe('development.conf', () => {
  test('listens on 127.0.0.1 alone and needs no environment', async () => {
    const log = await startOnce(['-c', development, '-p', '-1', '-m', '-1', '-sd', join(directory, 'development')], {});
    expect(log).toMatch(/Listening for client connections on 127\.0\.0\.1:/);
    expect(log).toContain(`Store Directory: "${join(directory, 'development', 'jetstream')}"`);
  });

  test('takes messages of the same size as production', () => {
    for (const limit of ['max_payload: 1MB', 'max_control_line: 8KB']) {
      expect(shippedText('deploy/nats/development.conf')).toContain(limit);
      expect(shippedText('deploy/nats/production-limits.conf')).toContain(limit);
    }
  });
});

describe('the configurations for real use', () => {
  const settings = ['production', 'production-cluster', 'production-users', 'production-limits', 'production-tls']
    .map((name) => shippedText(`deploy/nats/${name}.conf`))
    .join('\n')
    .replace(/^\s*#.*$/gm, '');

  test.each(['no_auth_user', 'password', 'token', 'allow_responses', 'persist_mode'])('have no %s', (setting) => {
    expect(settings).not.toContain(setting);
  });

  test('write every acknowledged message to the disk first, alone and in a cluster', () => {
    expect(settings.match(/^ *sync_interval: always$/gm)).toHaveLength(2);
  });

  test('name every variable in the table of README.md', () => {
    const used = [...settings.matchAll(/\$(MESHFORGE_\w+)/g)].map(([, variable]) => variable ?? '');
    const page = shippedText('deploy/nats/README.md');
    expect(used.filter((variable) => !page.includes(`\`${variable}\``))).toEqual([]);
    expect(used).toEqual(expect.arrayContaining(variables));
  });
});
