import type { OnProgress } from '@meshforge/processes';
import type { Host } from '../contender.ts';

interface Stoppable {
  stop(): Promise<unknown>;
}

/** The host of a run: servers that several contenders share are started once, and stopped with it. */
export class SharedServers implements Host {
  readonly onProgress: OnProgress;
  readonly #servers = new Map<string, Promise<Stoppable>>();

  constructor(onProgress: OnProgress) {
    this.onProgress = onProgress;
  }

  shared<S extends Stoppable>(key: string, start: () => Promise<S>): Promise<S> {
    const known = this.#servers.get(key) as Promise<S> | undefined;
    if (known !== undefined) return known;
    const starting = start();
    this.#servers.set(key, starting);
    return starting;
  }

  async stop(): Promise<void> {
    for (const starting of this.#servers.values()) {
      await starting.then(async (server) => await server.stop()).catch(() => undefined);
    }
  }
}
