// Hunts: an exit code or an output that a script cannot rely on, and a message that does not help.
import { pickFreePort } from './free-port.ts';
import { startNatsServer, type NatsServer } from '@meshforge/nats-server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SmokeReport } from '../src/index.ts';
import { startFakeAgents, type FakeAgents } from './fake-agents.ts';
import { smoke } from './smoke-process.ts';

const firstCheck = 'a created entity has version 1';
const serverTimeoutMs = 300_000;

describe('without a mesh', () => {
  test('--help explains options, variables and exit codes, and exits 0', async () => {
    const { code, stdout } = await smoke(['--help']);
    expect(code).toBe(0);
    for (const word of [
      '--json',
      '--only',
      '--timeout',
      '--inbox-prefix',
      '--verbose',
      'NATS_URL',
      'NATS_CREDS',
      'Exit codes',
    ]) {
      expect(stdout).toContain(word);
    }
  });

  test('no server: exits 2 and says what was tried, what was expected and what to do', async () => {
    const url = `nats://127.0.0.1:${await pickFreePort()}`;
    const { code, stdout, stderr } = await smoke(['--timeout', '0.3', '--json'], { NATS_URL: url });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('cannot run the checks: no NATS server can be reached');
    expect(stderr).toContain(`tried:    ${url} for 0.3 s`);
    expect(stderr).toContain('expected: a NATS server with JetStream');
    expect(stderr).toContain('do this:  start a mesh with `npm start`, or set NATS_URL');
  });

  test.each([
    { args: ['--timeout', 'soon'], env: {}, says: 'expected seconds' },
    { args: ['--fast'], env: {}, says: 'unknown option' },
    { args: ['now'], env: {}, says: 'too many arguments' },
    { args: ['--only', 'no such thing'], env: {}, says: 'no check has such a name' },
    { args: ['--inbox-prefix', 'answers'], env: {}, says: 'begins with _INBOX' },
    { args: ['--inbox-prefix', '_INBOX.*'], env: {}, says: 'without wildcards' },
    { args: [], env: { NATS_URL: 'http://127.0.0.1' }, says: 'NATS_URL: expected nats://host:port' },
    { args: [], env: { NATS_CREDS: 'a', NATS_NKEY_SEED_FILE: 'b' }, says: 'set one of them' },
    { args: [], env: { NATS_CREDS: '/nowhere/x.creds' }, says: 'the file that NATS_CREDS names cannot be read' },
    { args: [], env: { NATS_TLS_CA: '/nowhere/ca.pem' }, says: 'the file that NATS_TLS_CA names cannot be read' },
  ])('wrong usage exits 2 and says so: $says', async ({ args, env, says }) => {
    const { code, stderr } = await smoke(args, env);
    expect(stderr).toContain(says);
    expect(code).toBe(2);
  });
});

describe('with a server', () => {
  let server: NatsServer;
  let agents: FakeAgents | undefined;

  beforeAll(async () => {
    server = await startNatsServer();
  }, serverTimeoutMs);
  afterAll(async () => await server.stop());

  test('no agents: exits 2 and names the agent that does not answer', async () => {
    const { code, stderr } = await smoke(['--timeout', '0.3'], { NATS_URL: server.url });
    expect(code).toBe(2);
    expect(stderr).toContain('the agent inventory does not answer');
    expect(stderr).toContain('tried:    $SRV.PING.inventory on 127.0.0.1:');
  });

  describe('and agents that always say yes', () => {
    beforeAll(async () => {
      agents = await startFakeAgents(server.url, 'always yes');
    });
    afterAll(async () => await agents?.stop());

    test('a passed check: exits 0, one line for the check and one for the sum', async () => {
      const { code, stdout } = await smoke(['--only', firstCheck.toUpperCase()], { NATS_URL: server.url });
      expect(stdout).toMatch(/^✓ a created entity has version 1 \(\d+ ms\)\n1 passed, 0 failed\n$/);
      expect(code).toBe(0);
    });

    test('a failed check: exits 1 and shows expected and actual under its line', async () => {
      const { code, stdout } = await smoke(['--only', 'makes the next one'], { NATS_URL: server.url });
      expect(stdout).toMatch(/^✗ an update that expects .* \(\d+ ms\)\n {4}.*expected 2, got 1\n0 passed, 1 failed\n$/);
      expect(code).toBe(1);
    });

    test('--json prints one object on stdout and nothing else', async () => {
      const { code, stdout, stderr } = await smoke(['--json', '--verbose', '--only', 'version'], {
        NATS_URL: server.url,
      });
      expect(code).toBe(1);
      expect(stdout.trimEnd()).not.toContain('\n');
      const report = JSON.parse(stdout) as SmokeReport;
      expect(report.passed + report.failed + report.skipped).toBe(report.checks.length);
      const first = report.checks.find((check) => check.name === firstCheck);
      expect(first).toEqual({ name: firstCheck, ok: true, ms: expect.any(Number) as number });
      expect(stderr).toContain('→ cmd.inventory.create');
    });

    test('--verbose prints each command, reply and event as a line', async () => {
      const { stdout } = await smoke(['--verbose', '--only', firstCheck], { NATS_URL: server.url });
      expect(stdout).toMatch(/^ {2}→ cmd\.inventory\.create +smoke-[0-9a-f]{8}-\d+-item \{"data":\{"name":"Blue mug"/m);
      expect(stdout).toMatch(/^ {2}← evt\.inventory\.created +smoke-\S+ version 1 /m);
      expect(stdout).toMatch(/^ {2}• evt\.inventory\.created +smoke-\S+ version 1 /m);
    });
  });
});
