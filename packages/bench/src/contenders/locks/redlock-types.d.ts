/** What is used of redlock. Its own declarations are not named in its `exports`, so TypeScript does not find them. */
declare module 'redlock' {
  import type { Redis } from 'ioredis';

  interface Settings {
    /** -1 = without end. */
    readonly retryCount?: number;
    /** In milliseconds. */
    readonly retryDelay?: number;
    readonly retryJitter?: number;
  }

  class Redlock {
    constructor(clients: readonly Redis[], settings?: Settings);
    /** Throws when a resource is locked. */
    acquire(resources: readonly string[], durationMs: number): Promise<{ release(): Promise<unknown> }>;
    quit(): Promise<void>;
  }

  export { Redlock as default };
}
