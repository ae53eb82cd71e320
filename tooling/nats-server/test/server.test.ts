// Hunts: a server that is called ready and is not, data that a kill loses, a port that moves, processes and directories that
// stay behind, and a server that strangers can reach.
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { NatsServerStartFailed } from '../src/errors.ts';
import type { NatsServer } from '../src/nats-server.ts';
import { startNatsServer, type StartOptions } from '../src/start-nats-server.ts';
import { ask, connectTo, countMessages, makeStream } from './jetstream.ts';
import { temporaryDirectory } from './temporary-directories.ts';

async function start(options: StartOptions = {}): Promise<NatsServer> {
  const server = await startNatsServer(options);
  onTestFinished(async () => await server.stop());
  return server;
}

async function failureOf(options: StartOptions): Promise<NatsServerStartFailed> {
  const outcome: unknown = await start(options).catch((error: unknown) => error);
  if (!(outcome instanceof NatsServerStartFailed))
    throw new Error(`expected NatsServerStartFailed, got ${String(outcome)}`);
  return outcome;
}

function isRunning(pid: number | undefined): boolean {
  try {
    return process.kill(pid ?? 0, 0);
  } catch {
    return false;
  }
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, timeout: 1_000 });
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}

test('a started server has JetStream at once, and leaves nothing behind when it is stopped', async () => {
  const server = await start();
  expect(server.url).toBe(`nats://127.0.0.1:${server.port}`);
  const connection = await connectTo(server.url);
  await makeStream(connection, 'kept', 1);
  await ask(connection, 'kept', 'hello');
  expect(await countMessages(connection)).toBe(1);
  expect(server.logs()).toContain('Server is ready');
  await connection.close();
  const { pid, exited } = server;
  await Promise.all([server.stop(), server.stop()]);
  expect(await exited).toMatchObject({ signal: null });
  expect(isRunning(pid)).toBe(false);
  await expect(access(server.dataDir)).rejects.toThrow('ENOENT');
  await expect(server.restart()).rejects.toThrow('was stopped');
});

test('acknowledged messages survive kill -9 and a restart on the same port, and clients come back by themselves', async () => {
  const server = await start();
  const { port, pid } = server;
  const connection = await connectTo(server.url);
  await makeStream(connection, 'kept', 1);
  for (let index = 0; index < 50; index++) await ask(connection, 'kept', String(index));
  await server.kill('SIGKILL');
  expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' });
  expect(server.isAlive).toBe(false);
  expect(await canConnect('127.0.0.1', port)).toBe(false);
  await server.restart();
  expect(server.port).toBe(port);
  expect(server.pid).not.toBe(pid);
  await vi.waitFor(async () => await connection.rtt(), 20_000);
  expect(await countMessages(connection)).toBe(50);
});

test('a restart of a server that still runs ends it first', async () => {
  const server = await start();
  const { pid } = server;
  await Promise.all([server.restart(), server.restart()]);
  expect(isRunning(pid)).toBe(false);
  expect(isRunning(server.pid)).toBe(true);
  expect(server.isAlive).toBe(true);
});

test('a frozen server answers nothing until it is thawed, and can be stopped while frozen', async () => {
  const server = await start();
  const connection = await connectTo(server.url);
  await server.kill('SIGSTOP');
  // The signal may still be on its way.
  const silence = (): Promise<unknown> => connection.request('$JS.API.INFO', '', { timeout: 300 });
  await vi.waitFor(() => expect(silence()).rejects.toThrow(/timeout/i), 20_000);
  await server.kill('SIGCONT');
  expect(await ask(connection, '$JS.API.INFO')).toHaveProperty('limits');
  await connection.close();
  await server.kill('SIGSTOP');
  await server.stop();
  expect(server.isAlive).toBe(false);
});

test('a data directory of the caller outlives the server', async () => {
  const dataDir = join(await temporaryDirectory(), 'deep', 'data');
  const first = await start({ dataDir });
  await makeStream(await connectTo(first.url), 'kept', 1);
  await first.stop();
  const second = await start({ dataDir });
  expect(await countMessages(await connectTo(second.url))).toBe(0);
});

test('only this machine can connect', async () => {
  const server = await start();
  const monitorPort = Number(new URL(server.monitorUrl).port);
  expect(new URL(server.monitorUrl).hostname).toBe('127.0.0.1');
  const others = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outside = others
    .filter((address) => !address.internal && address.family === 'IPv4')
    .map((address) => address.address);
  // 127.0.0.2 reaches, on Linux, whatever listens on all addresses.
  for (const host of [...outside, '127.0.0.2', '::1']) {
    expect(await canConnect(host, server.port)).toBe(false);
    expect(await canConnect(host, monitorPort)).toBe(false);
  }
  expect(await canConnect('127.0.0.1', server.port)).toBe(true);
});

const accounts = `
  accounts {
    TENANT { jetstream: enabled, users: [{ user: alice, password: $ALICE }] }
    OTHER { users: [{ user: bob, password: bob }] }
  }
`;

test('a configuration text brings accounts, with values from the environment', async () => {
  const server = await start({ configText: accounts, env: { ALICE: 'wonderland' } });
  await makeStream(await connectTo(server.url, { user: 'alice', pass: 'wonderland' }), 'kept', 1);
  await expect(connectTo(server.url)).rejects.toThrow(/authorization/i);
  const bob = await connectTo(server.url, { user: 'bob', pass: 'bob' });
  await expect(ask(bob, '$JS.API.INFO')).rejects.toThrow(/not enabled/);
  await server.kill('SIGKILL');
  await server.restart();
  await connectTo(server.url, { user: 'alice', pass: 'wonderland' });
});

test('a configuration file keeps its includes, and maxPayload and the address are set on top of it', async () => {
  const directory = join(await temporaryDirectory(), 'with spaces');
  await mkdir(directory);
  await writeFile(join(directory, 'accounts.conf'), accounts);
  const configFile = join(directory, 'server.conf');
  await writeFile(
    configFile,
    'include ./accounts.conf\nport: 4222\nhost: 0.0.0.0\nmax_payload: 1000\njetstream { max_mem: 64MB }\n',
  );
  const server = await start({ configFile, maxPayload: 2_000_000, env: { ALICE: 'wonderland' } });
  const connection = await connectTo(server.url, { user: 'alice', pass: 'wonderland' });
  expect(connection.info?.max_payload).toBe(2_000_000);
  expect(await canConnect('127.0.0.2', server.port)).toBe(false);
  expect(await readFile(configFile, 'utf8')).toContain('max_payload: 1000');
});

test('a fixed port is used, and an error when it is taken', async () => {
  const first = await start();
  const error = await failureOf({ port: first.port });
  expect(error.message).toContain('address already in use');
  expect(error.isPortClash).toBe(true);
  const { port } = first;
  await first.stop();
  expect((await start({ port })).port).toBe(port);
});

test('a start that fails soon says so soon, with the end of the log', async () => {
  const error = await failureOf({ configText: 'no_such_setting { }' });
  expect(error.message).toMatch(/nats-server did not start: it ended with code 1/);
  expect(error.log).toContain('no_such_setting');
});

test('a server that is never ready is ended when the time is over', async () => {
  const script = join(await temporaryDirectory(), 'never-ready');
  await writeFile(script, '#!/bin/sh\necho "my pid is $$"\nexec sleep 60\n', { mode: 0o755 });
  const error = await failureOf({ binary: script, readyTimeoutMs: 500 });
  expect(error.message).toContain('not ready within 0.5 s');
  const pid = Number(/my pid is (\d+)/.exec(error.log)?.[1]);
  expect(pid).toBeGreaterThan(0);
  expect(isRunning(pid)).toBe(false);
});

test('a binary that cannot be spawned is a clear error', async () => {
  expect((await failureOf({ binary: '/nowhere/nats-server' })).message).toContain('ENOENT');
});

test('two configurations at once are refused', async () => {
  await expect(start({ configFile: 'a', configText: 'b' })).rejects.toThrow('not both');
});
