import { commandStream, entityStream, SIGNALS_STREAM } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from './clock.ts';
import { ensureExecutor, EXECUTOR, executorSettings } from './durable/consumer.ts';
import { lackOf } from './nats/consumers.ts';
import type { Asset, Doubt } from './nats/presence/asset.ts';
import type { Followed } from './nats/presence/followed-asset.ts';
import { Presence } from './nats/presence/presence.ts';
import type { RequestPort } from './nats/requester.ts';
import { ensureStream, misfit, type StreamSettings } from './nats/streams.ts';
import type { Logger } from './options.ts';

export interface AgentPresenceOptions {
  agent: string;
  streams: readonly StreamSettings[];
  connection: NatsConnection;
  manager: JetStreamManager;
  requester: RequestPort;
  clock: Clock;
  logger: Logger;
}

/** The streams and consumers that an agent relies on; its log says what happens to them. */
export class AgentPresence {
  readonly #options: AgentPresenceOptions;
  readonly #presence: Presence;
  readonly #log: Followed;
  #executor: Followed | undefined;

  /** @param onLogDoubt what is remembered of the entities may not hold */
  constructor(options: AgentPresenceOptions, onLogDoubt: () => void) {
    const { agent, clock, logger, manager, streams } = options;
    this.#options = options;
    this.#presence = new Presence({ ...options, report: ({ level, text, ...asset }) => logger[level](asset, text) });
    this.#log = this.#follow(entityStream(agent), { isLog: true, onDoubt: onLogDoubt });
    for (const settings of streams) {
      const { name } = settings;
      if (name === entityStream(agent) || name === commandStream(agent)) continue;
      const recreate = (): Promise<void> => ensureStream(manager, settings, clock);
      this.#follow(name, name === SIGNALS_STREAM ? { recreate } : {});
    }
  }

  /** @param forget durable commands, or what was delivered of them, may be others than before */
  followQueue(forget: () => void): void {
    const { agent, connection } = this.#options;
    const stream = commandStream(agent);
    // A new leader of a queue has all that was acknowledged to anybody.
    const onDoubt = (doubt: Doubt): void => (doubt === 'identity' ? forget() : undefined);
    this.#follow(stream, { onDoubt });
    this.#executor = this.#presence.follow({
      stream,
      consumer: EXECUTOR,
      onDoubt,
      misfit: (config) => lackOf(executorSettings(agent), config),
      mend: () => ensureExecutor(connection, agent),
      recreate: () => ensureExecutor(connection, agent),
    });
  }

  /** Nobody delivers durable commands: looks for the consumer that should. */
  missesExecutor(): void {
    this.#executor?.look();
  }

  /** Whether several servers keep the log of the entities, so that one may answer with something old. */
  isReplicated(): boolean {
    // In a cluster a stream can get replicas at any time, and they may answer before anybody hears of it.
    return this.#options.connection.info?.cluster !== undefined || (this.#log.replicas ?? 0) > 1;
  }

  /** Why something does not serve; empty: nothing is known to be wrong. */
  problems(): string[] {
    return this.#presence.problems();
  }

  stop(): void {
    this.#presence.stop();
  }

  #follow(stream: string, asset: Omit<Asset, 'stream'>): Followed {
    const settings = this.#options.streams.find(({ name }) => name === stream);
    return this.#presence.follow({
      stream,
      misfit: (config) => (settings === undefined ? undefined : misfit(settings, config)),
      ...asset,
    });
  }
}
