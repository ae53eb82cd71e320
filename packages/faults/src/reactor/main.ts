/** The process in which the harness lets its reaction run: configured and asked for its health like an agent. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { inventoryContract } from '@meshforge/protocol';
import { command, connectMesh, MeshError, type Mesh, type RunningReaction } from '@meshforge/runtime';
import { EVENTS, mirrorOf, REACTION } from './mirroring.ts';

const retryMs = 250;
const events = process.env['FAULTS_EVENTS']?.split(',') ?? EVENTS;
const note = (line: string): void => void process.stderr.write(`${line}\n`);

const mesh = await connectMesh({
  servers: (process.env['NATS_URL'] ?? '').split(','),
  name: 'faults reactor',
  waitOnFirstConnect: true,
});
const reaction = await react(mesh);
// It is ready from here on, and nobody can ask before.
const health = createServer((_, response) => void response.end());
health.listen(Number(process.env['HEALTH_PORT']), '127.0.0.1');
await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await reaction.stop();
await mesh.close();
health.close();

/** The stream that it follows is there once an agent has started. */
async function react(on: Mesh): Promise<RunningReaction> {
  for (;;) {
    try {
      return await on.react(
        inventoryContract,
        { name: REACTION, events: [...events], onFault: (error) => note(String(error)) },
        ({ data, entityId, event }) => {
          const mirror = mirrorOf(entityId);
          return mirror === undefined || event !== 'adjusted'
            ? undefined
            : command(inventoryContract, 'adjust', { entityId: mirror, data: { delta: Number(data?.['delta']) } });
        },
      );
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== 'unavailable') throw error;
      note(error.message);
      await sleep(retryMs);
    }
  }
}
