// Hunts for a service that others wait for in vain, and for a port that another machine can reach. Reads the file as text:
// two spaces of indent, one setting a line.
import { describe, expect, test } from 'vitest';
import { readDockerfile } from '../src/image.ts';
import { shippedText } from '../src/shipped-files.ts';

const text = shippedText('compose.yaml');

/** The lines under a key, up to the next line that is indented as little as the key. */
function blockOf(source: string, key: string): string {
  const lines = source.split('\n');
  const start = lines.findIndex((line) => line.trimStart().startsWith(`${key}:`));
  expect(start, `${key} in compose.yaml`).toBeGreaterThanOrEqual(0);
  const indent = (lines[start] ?? '').search(/\S/);
  const length = lines.slice(start + 1).findIndex((line) => line.trim() !== '' && line.search(/\S/) <= indent);
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n');
}

const services = blockOf(text, 'services');
const names = [...services.matchAll(/^ {2}([\w-]+):$/gm)].map(([, name]) => name ?? '');
const agents = ['inventory', 'lock-manager'];

describe('compose.yaml', () => {
  test('has the server and both agents, and no version key', () => {
    expect(names).toEqual(['nats', ...agents]);
    expect(text).not.toMatch(/^version:/m);
  });

  test.each(['nats', ...agents])('checks the health of %s', (name) => {
    expect(blockOf(services, name)).toMatch(/^ {4}healthcheck:/m);
  });

  test('checks an agent as the image does', () => {
    const command = readDockerfile(shippedText('Dockerfile')).healthCheck.at(-1) ?? '';
    expect(blockOf(services, 'inventory')).toContain(`- "${command}"`);
    expect(blockOf(services, 'lock-manager')).toContain('healthcheck: *agent-health');
  });

  test.each(agents)('starts %s when the server is healthy, with its health port on', (name) => {
    expect(blockOf(services, name)).toContain('<<: *agent');
    const shared = blockOf(text, 'x-agent');
    expect(shared).toMatch(/depends_on:\n {4}nats:\n {6}condition: service_healthy/);
    expect(shared).toMatch(/HEALTH_PORT: '\d+'/);
    expect(blockOf(services, name)).toContain(`APP: '@meshforge/${name}'`);
  });

  test('publishes ports on 127.0.0.1 alone', () => {
    const published = [...text.matchAll(/^ {4}ports:\n((?: {6}- .*\n)+)/gm)].flatMap(([, list]) =>
      (list ?? '').trimEnd().split('\n'),
    );
    expect(published).toHaveLength(1);
    for (const port of published) expect(port).toMatch(/^ {6}- '127\.0\.0\.1:\d+:\d+'$/);
    expect(text.match(/ports:/g)).toHaveLength(1);
    expect(text).not.toContain('network_mode');
  });

  test('runs a server that is new enough, with the development configuration', () => {
    const [, major, minor] = /image: nats:(\d+)\.(\d+)/.exec(text) ?? [];
    expect(Number(major) * 1000 + Number(minor)).toBeGreaterThanOrEqual(2014);
    expect(blockOf(services, 'nats')).toContain('./deploy/nats/development.conf:/etc/nats/development.conf:ro');
  });
});
