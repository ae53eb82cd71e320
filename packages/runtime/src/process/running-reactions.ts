import type { Mesh } from '../client/mesh.ts';
import { systemClock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import type { Logger } from '../options.ts';
import type { Reaction } from '../reaction/define-reaction.ts';

const RETRY_MS = 1_000;

/**
 * The reactions of a process, each from when it can run: that whom it follows has not started yet, or that JetStream has no leader, is
 * no reason for the agent beside them not to serve.
 */
export class RunningReactions {
  /** Resolves with why, when one of them can never run. */
  readonly failed: Promise<Error>;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #mesh: Mesh | undefined;

  constructor(reactions: readonly Reaction[], connect: () => Promise<Mesh>, logger: Logger) {
    this.#logger = logger;
    this.failed = new Promise((resolve) => void this.#startAll(reactions, connect).catch(resolve));
  }

  /** Why what they rely on does not serve; empty: nothing is known to be wrong. */
  problems(): string[] {
    return this.#mesh?.problems() ?? [];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#mesh?.close();
  }

  async #startAll(reactions: readonly Reaction[], connect: () => Promise<Mesh>): Promise<void> {
    const mesh = await connect();
    this.#mesh = mesh;
    await Promise.all(reactions.map((reaction) => this.#start(reaction, mesh)));
  }

  async #start(reaction: Reaction, mesh: Mesh): Promise<void> {
    const { signal } = this.#stopping;
    const { name } = reaction;
    while (!signal.aborted) {
      try {
        await reaction.start(mesh, (err) => this.#logger.warn({ err }, 'a reaction has met a fault'));
        this.#logger.info({ reaction: name }, 'reaction runs');
        return;
      } catch (error) {
        if (!(error instanceof MeshError && error.code === 'unavailable')) throw error;
        this.#logger.warn({ reaction: name, why: error.message }, 'reaction cannot run yet; trying again');
      }
      await systemClock.sleep(RETRY_MS, signal);
    }
  }
}
