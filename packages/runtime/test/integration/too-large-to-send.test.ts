/** Hunts a client that tries again and again what it can never send. */
import { inventoryContract } from '@meshforge/protocol';
import { startNatsServer } from '@meshforge/nats-server';
import { expect, test } from 'vitest';
import { connectMesh, MeshError } from '../../src/index.ts';

test('a command above the largest message of the server fails at once, and says so', async () => {
  const server = await startNatsServer();
  // Far longer than this test may take: only the first try can end it.
  const mesh = await connectMesh({ servers: server.url, timeoutMs: 600_000 });
  try {
    const name = 'x'.repeat(2_000_000);
    const error: unknown = await mesh
      .request(inventoryContract, 'create', { entityId: 'a', data: { name } })
      .catch((fault: unknown) => fault);
    expect(error).toBeInstanceOf(MeshError);
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/max_payload.*Nothing changed/),
    });
  } finally {
    await mesh.close();
    await server.stop();
  }
});
