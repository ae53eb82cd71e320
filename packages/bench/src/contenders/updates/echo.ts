import { ManagedProcess } from '@meshforge/processes';
import { connect } from '@nats-io/transport-node';
import type { Contender, UpdateClient } from '../../contender.ts';
import { moduleProcess } from '../../module-process.ts';
import { libraryVersion } from '../../servers/library-version.ts';
import { sharedNatsServer } from '../../servers/nats.ts';

const encoder = new TextEncoder();

/** The way over NATS and back, which every service pays that is asked by request/reply. */
export const echo: Contender<UpdateClient> = {
  id: 'echo',
  name: 'Echo (no update)',
  about: 'bare request/reply with the official client; nothing is checked and nothing is stored',
  durability: 'memory',
  async start(host) {
    const nats = await sharedNatsServer(host);
    const service = await ManagedProcess.start({
      name: 'the echo service',
      ...moduleProcess(new URL('../../services/echo-service.ts', import.meta.url), [nats.url]),
      isReady: (process) => process.logs().includes('ready'),
    });
    return {
      address: { url: nats.url },
      versions: { '@nats-io/transport-node': libraryVersion('@nats-io/transport-node'), 'nats-server': nats.version },
      pids: () => [service.pid ?? 0, nats.pid],
      stop: async () => void (await service.stop()),
    };
  },
  async connect({ url }) {
    const connection = await connect({ servers: String(url) });
    return {
      create: (entities) => Promise.resolve(entities.map(() => 1)),
      async update(entity, version) {
        const body = JSON.stringify({ entity_id: entity, expected_version: version, data: { delta: 1 } });
        await connection.request('echo', encoder.encode(body), { timeout: 10_000 });
        return version + 1;
      },
      close: async () => await connection.close(),
    };
  },
};
