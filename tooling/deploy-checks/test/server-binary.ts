import { spawn, spawnSync } from 'node:child_process';
import { locateNatsServer } from '@meshforge/nats-server';

/** What the server says about a configuration, without starting: `nats-server -t -c <file>`. */
export async function checkConfiguration(
  file: string,
  env: Record<string, string | undefined>,
): Promise<{ ok: boolean; said: string }> {
  const { path } = await locateNatsServer();
  const { status, stdout, stderr } = spawnSync(path, ['-t', '-c', file], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  return { ok: status === 0, said: `${stdout}${stderr}` };
}

/** Starts the server with these very arguments, waits until it is ready, stops it; answers its log. */
export async function startOnce(args: readonly string[], env: Record<string, string>): Promise<string> {
  const { path } = await locateNatsServer();
  const server = spawn(path, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    log += chunk;
    if (log.includes('Server is ready')) server.kill('SIGTERM');
  });
  const patience = setTimeout(() => server.kill('SIGKILL'), 10_000);
  await new Promise((resolve) => server.once('close', resolve));
  clearTimeout(patience);
  return log;
}
