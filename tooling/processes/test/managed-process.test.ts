// Hunts: children that outlive their parent, that are called ready too early, or whose figures are somebody else's.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ManagedProcess, measureProcesses, ProcessFailed, type ProcessPlan } from '../src/index.ts';

const sleeper = 'console.log("up"); setInterval(() => {}, 1000);';

async function start(script: string, plan: Partial<ProcessPlan> = {}): Promise<ManagedProcess> {
  const process_ = await ManagedProcess.start({
    name: 'child',
    file: process.execPath,
    args: ['-e', script],
    isReady: (child) => child.logs().includes('up'),
    ...plan,
  });
  onTestFinished(async () => void (await process_.stop()));
  return process_;
}

test('a process that is killed can be started again; its log goes on', async () => {
  const child = await start(sleeper);
  const first = child.pid;
  await child.kill();
  expect(child.isAlive).toBe(false);
  expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
  await child.restart();
  expect(child.isAlive).toBe(true);
  expect(child.pid).not.toBe(first);
  await expect.poll(() => child.logs()).toBe('up\nup\n');
});

test('a process that ends before it is ready fails with its code and what it wrote', async () => {
  const failing = start('console.error("no such port"); process.exit(3)');
  await expect(failing).rejects.toThrow(ProcessFailed);
  await expect(failing).rejects.toThrow(/child did not start: it ended with code 3.*\n {4}no such port/);
});

test('a process that is never ready is ended', async () => {
  let child: ManagedProcess | undefined;
  const isReady = (each: ManagedProcess): boolean => ((child = each), false);
  await expect(start(sleeper, { isReady, readyTimeoutMs: 300 })).rejects.toThrow(/not ready within 0.3 s/);
  expect(child?.isAlive).toBe(false);
});

test('a program that is not there fails as such', async () => {
  await expect(start('', { file: join(await mkdtemp(join(tmpdir(), 'none-')), 'none') })).rejects.toThrow(/ENOENT/);
});

test('messages pass both ways', async () => {
  const heard: unknown[] = [];
  const child = await start('process.on("message", (m) => process.send({ ...m, back: true })); console.log("up")', {
    onMessage: (message) => heard.push(message),
  });
  child.send({ n: 1 });
  await expect.poll(() => heard).toEqual([{ n: 1, back: true }]);
});

test('a frozen process that is stopped ends', async () => {
  const child = await start(sleeper);
  await child.kill('SIGSTOP');
  expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' });
});

test.runIf(process.platform === 'linux')(
  'usage counts the processor time and memory of a child and its child',
  async () => {
    // As much processor time as it takes, on a machine that has little to give.
    const burn = 'let cpu; do cpu = process.cpuUsage(); while (cpu.user + cpu.system < 400_000); ';
    const script = `${burn} require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(burn + sleeper)}], { stdio: "inherit" }); setInterval(() => {}, 1000);`;
    const child = await start(script);
    const usage = await measureProcesses([child.pid ?? 0]);
    expect(usage?.cpuMs).toBeGreaterThan(600);
    expect(usage?.memoryBytes).toBeGreaterThan(50e6);
    expect(usage?.fileDescriptors).toBeGreaterThan(10);
    expect((await measureProcesses([2 ** 30]))?.cpuMs).toBe(0);
  },
);
