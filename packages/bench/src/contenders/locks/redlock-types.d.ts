/** What is used of redlock. Its own declarations are not named in its `exports`, so TypeScript does not find them. */
declare module 'redlock' {
  import type { Redis } from 'ioredis';

  class Redlock {
    constructor(clients: readonly Redis[], settings?: { readonly retryCount?: number });
    /** Throws when a resource is locked. */
    acquire(resources: readonly string[], durationMs: number): Promise<{ release(): Promise<unknown> }>;
    quit(): Promise<void>;
  }

  export { Redlock as default };
}
