/**
 * Follows the streams and consumers that a process relies on, while it runs.
 *
 * "Gone" is not "not now": gone is what the server says does not exist; without an answer nothing is known. And a sequence
 * means nothing without its stream: whatever may be another stream than before is doubted at once, before anybody looks.
 *
 * Three ways lead to a look, since each may fail: JetStream's advisories come within milliseconds, at most once; a broken
 * connection hides them; a look every two seconds finds what both have missed.
 *
 * Invariants
 * - A stream or consumer that holds data, or a place in data, is never created here.
 * - Doubt comes before a look, and again after one that shows a change: what was read between the two is forgotten as well.
 * - Each thing that happens is reported once.
 */
import type { Asset } from './asset.ts';
import { FollowedAsset, type Followed, type PresenceOptions } from './followed-asset.ts';

export class Presence {
  readonly #options: PresenceOptions;
  readonly #followed = new Set<FollowedAsset>();
  #isConnected = true;
  #isFollowingConnection = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Looks at it from now on. What it is at the first look is what it has to stay. */
  follow(asset: Asset): Followed {
    if (!this.#isFollowingConnection) void this.#followConnection();
    const followed = new FollowedAsset(asset, {
      ...this.#options,
      isConnected: () => this.#isConnected,
      follows: (stream) => [...this.#followed].some((other) => other.isStream(stream)),
      onStop: () => this.#followed.delete(followed),
    });
    this.#followed.add(followed);
    followed.start();
    return followed;
  }

  /** Why something that is followed does not serve. */
  problems(): string[] {
    return [...this.#followed].flatMap(({ problem }) => problem ?? []);
  }

  stop(): void {
    for (const followed of this.#followed) followed.stop();
  }

  /** Advisories do not come while there is no connection, and nothing that was sent before is known to have arrived. */
  async #followConnection(): Promise<void> {
    this.#isFollowingConnection = true;
    for await (const { type } of this.#options.connection.status()) {
      if (type !== 'disconnect' && type !== 'reconnect') continue;
      this.#isConnected = type === 'reconnect';
      for (const followed of this.#followed) followed.doubt();
    }
  }
}
