// Hunts: a start that gives up, or leaves servers running, because another process took a port a moment too early.
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import * as freePorts from '@meshforge/processes';
import { startNatsCluster } from '../src/start-nats-cluster.ts';
import { startNatsServer } from '../src/start-nats-server.ts';

vi.mock(import('@meshforge/processes'), { spy: true });

/** Makes the next choice of ports contain one that is taken, at the given place. */
async function clashOnce(place: number): Promise<number> {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const { pickFreePorts } = await vi.importActual<typeof freePorts>('@meshforge/processes');
  vi.mocked(freePorts.pickFreePorts).mockImplementationOnce(async (host, count) => {
    const ports = await pickFreePorts(host, count);
    ports[place] = port;
    return ports;
  });
  return port;
}

test('a server whose port was taken meanwhile starts on another one', async () => {
  const taken = await clashOnce(0);
  const server = await startNatsServer();
  onTestFinished(async () => await server.stop());
  expect(server.port).not.toBe(taken);
});

test.each([
  { what: 'client', place: 1 },
  { what: 'route', place: 4 },
])(
  'a cluster of which one $what port was taken meanwhile starts on other ones',
  async ({ place }) => {
    const taken = await clashOnce(place);
    const cluster = await startNatsCluster();
    onTestFinished(async () => await cluster.stop());
    expect(cluster.nodes.map((node) => node.port)).not.toContain(taken);
    expect(cluster.nodes).toHaveLength(3);
  },
  90_000,
);

test('picked ports differ, and lie below those of outgoing connections', async () => {
  const ports = await freePorts.pickFreePorts('127.0.0.1', 50);
  expect(new Set(ports).size).toBe(50);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});
