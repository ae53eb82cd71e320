// Hunts: exit codes that lie, output that scripts cannot read, and a run that cannot be stopped.
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { parseCommandLine } from '../src/command-line.ts';
import type { Entry } from '../src/history.ts';
import { faults, startFaults } from './support/faults-process.ts';

/** A few seconds of load on the smallest mesh. */
const small = ['--replicas', '1', '--agents', '1', '--minutes', '0.06', '--seed', '1', '--only', 'jump-agent-clock'];

test('--help tells of faults and exit codes', async () => {
  const { code, stdout } = await faults(['--help']);
  expect(code).toBe(0);
  for (const word of ['--seed', '--keep-history', 'kill-server', 'soak', '130  interrupted'])
    expect(stdout).toContain(word);
});

test('wrong usage ends with code 2 and says what is wrong', async () => {
  const { code, stdout, stderr } = await faults(['--only', 'kill-everything']);
  expect(code).toBe(2);
  expect(stderr).toContain('no such fault: kill-everything');
  expect(stdout).toBe('');
});

test.each([
  ['--minutes', 'no'],
  ['--replicas', '2'],
  ['--seed', '-1'],
  ['--agents', '0'],
  ['--unknown', '1'],
  ['soak', '--only', 'kill-agent'],
])('%s %s is wrong usage', (...args) => {
  expect(parseCommandLine(args)).toEqual({ kind: 'exit', code: 2 });
});

test('a soak has a length of its own, and a seed when it is given none', () => {
  const parsed = parseCommandLine(['soak', '--agents', '2']);
  expect(parsed).toMatchObject({ kind: 'soak', minutes: 30, agents: 2, replicas: 3, json: false });
  expect(parsed).toHaveProperty('seed', expect.any(Number));
});

test('without a nats-server nothing can be tried: code 2, and how to get one', async () => {
  const { code, stderr } = await faults(small, { MESHFORGE_NATS_SERVER: join(tmpdir(), 'no-such-server') });
  expect(code).toBe(2);
  expect(stderr).toContain('No usable nats-server');
});

test('a run without breach ends with code 0, prints one JSON object, and keeps its history', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'meshforge-faults-'));
  onTestFinished(async () => await rm(directory, { recursive: true }));
  const file = join(directory, 'history.jsonl');
  const { code, stdout, stderr } = await faults([...small, '--json', '--keep-history', file]);
  expect(stderr).toContain('seed 1: ');
  const report = JSON.parse(stdout) as { breaches: unknown[]; commands: { sent: number }; command: string };
  expect(report.breaches).toEqual([]);
  expect(code).toBe(0);
  expect(report.command).toBe('pnpm faults --seed 1 --minutes 0.06 --replicas 1 --agents 1 --only jump-agent-clock');
  const entries = (await readFile(file, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Entry);
  const types = [...new Set(entries.map(({ type }) => type))];
  expect(types).toEqual(expect.arrayContaining(['sent', 'told', 'logged', 'heard']));
  expect(entries.filter(({ type }) => type === 'sent')).toHaveLength(report.commands.sent);
}, 300_000);

test('an agent that dies although no fault killed it is a breach: code 1', async () => {
  const { child, finished } = startFaults([...small, '--minutes', '0.3']);
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  // It has to serve before its death counts: commands are answered.
  await vi.waitFor(() => expect(stderr).toContain(' answers ('), { timeout: 120_000, interval: 100 });
  const [agent] = await agentsOf(child.pid);
  process.kill(agent ?? 0, 'SIGKILL');
  const { code, stdout } = await finished;
  expect(stdout).toContain('BREACH of agents live: the agent ');
  expect(stdout).toContain('1 breach; to repeat: pnpm faults --seed 1 ');
  expect(code).toBe(1);
}, 300_000);

test('SIGINT ends the run with code 130, and nothing that it started is left', async () => {
  const { child, finished } = startFaults([...small, '--minutes', '5']);
  const agents = await vi.waitFor(
    async () => {
      const found = await agentsOf(child.pid);
      expect(found).toHaveLength(2);
      return found;
    },
    { timeout: 120_000, interval: 100 },
  );
  await new Promise((resolve) => void setTimeout(resolve, 1_000));
  child.kill('SIGINT');
  const { code, stderr } = await finished;
  expect(stderr).toContain('interrupted');
  expect(code).toBe(130);
  for (const pid of agents) await expect(readlink(`/proc/${pid}/cwd`)).rejects.toThrow('ENOENT');
}, 300_000);

/** Processes that run an agent for this one. */
async function agentsOf(parent: number | undefined): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      const directory = await readlink(`/proc/${pid}/cwd`).catch(() => '');
      const isChild = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      return isChild && /apps\/(?:inventory|lock-manager)$/.test(directory) ? [pid] : [];
    }),
  );
  return found.flat();
}
