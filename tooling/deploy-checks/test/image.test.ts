// Hunts for an image that differs from the steps that are tested without Docker.
import { spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { readDockerfile } from '../src/image.ts';
import { shippedPath, shippedText } from '../src/shipped-files.ts';

const dockerfile = readDockerfile(shippedText('Dockerfile'));
const script = shippedText('deploy/image-steps.sh');

describe('the Dockerfile', () => {
  test('runs the commands of deploy/image-steps.sh, in the same order, and otherwise only makes pnpm available', () => {
    const steps = script.split('\n').filter((line) => line.startsWith('pnpm '));
    expect(steps).toHaveLength(4);
    expect(dockerfile.runs).toEqual(['corepack enable', ...steps]);
  });

  test('copies what deploy/image-steps.sh copies', () => {
    const copies = shippedText('Dockerfile')
      .split('\n')
      .filter((line) => line.startsWith('COPY '));
    const image = copies.pop();
    expect(copies.map((line) => script.includes(`# ${line}`))).toEqual([true, true, true]);
    expect(image).toBe('COPY --from=build /out/ .');
  });

  test('prunes with the turbo of the workspace', () => {
    const version = /^ {2}turbo: (.+)$/m.exec(shippedText('pnpm-workspace.yaml'))?.[1];
    expect(dockerfile.runs).toContain(`pnpm dlx turbo@${version} prune "$APP" --docker`);
  });

  test('starts the app with Node alone, not as root', () => {
    expect(dockerfile.command).toEqual(['node', 'dist/main.js']);
    expect(dockerfile.user).toBe('node');
  });

  test.each([
    { status: 200, healthy: true },
    { status: 503, healthy: false },
  ])('takes an app for healthy = $healthy whose /readyz answers $status', async ({ status, healthy }) => {
    const app = createServer((request, response) => response.writeHead(request.url === '/readyz' ? status : 404).end());
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    expect(await runHealthCheck((app.address() as AddressInfo).port)).toBe(healthy ? 0 : 1);
    app.close();
  });

  test('takes an app for unhealthy that does not listen', async () => {
    expect(await runHealthCheck(1)).toBe(1);
  });
});

describe('deploy/image-steps.sh', () => {
  const run = (...args: string[]): ReturnType<typeof spawnSync> =>
    spawnSync(shippedPath('deploy/image-steps.sh'), args, { encoding: 'utf8' });

  test('says how it is used', () => {
    expect(run('@meshforge/inventory')).toMatchObject({
      status: 2,
      stderr: 'usage: deploy/image-steps.sh <app> <directory>\n',
    });
  });

  test('leaves a directory alone that exists', () => {
    expect(run('@meshforge/inventory', tmpdir())).toMatchObject({ status: 2, stdout: '' });
  });

  test('leaves out what .dockerignore names, since both read its patterns the same way', () => {
    const patterns = shippedText('.dockerignore').trimEnd().split('\n');
    expect(patterns.filter((pattern) => !/^\*\*\/[^/!#]+$/.test(pattern))).toEqual([]);
    expect(patterns).toEqual(expect.arrayContaining(['**/node_modules', '**/dist', '**/.git']));
  });
});

async function runHealthCheck(port: number): Promise<number | null> {
  const [, ...args] = dockerfile.healthCheck;
  const child = spawn(process.execPath, args, { env: { ...process.env, HEALTH_PORT: String(port) }, stdio: 'ignore' });
  return await new Promise((resolve) => child.once('close', resolve));
}
