import { commandStream, entityStream, SIGNALS_STREAM } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from './clock.ts';
import { ensureExecutor, EXECUTOR, executorSettings } from './durable/consumer.ts';
import { lackOf } from './nats/consumers.ts';
import type { Doubt } from './nats/presence/asset.ts';
import { Presence, type Followed } from './nats/presence/presence.ts';
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
  /** What is remembered of the entities may not hold. */
  onLogDoubt: () => void;
  /** Durable commands, or what was delivered of them, may be others than before. */
  onQueueDoubt: () => void;
}

/** What an agent knows of the streams and consumers that it relies on. */
export interface AgentPresence extends Pick<Presence, 'problems' | 'stop'> {
  /** Nobody delivers durable commands: looks for the consumer that should. */
  missesExecutor(): void;
  /** Whether several servers keep the log of the entities, so that one may answer with something old. */
  isReplicated(): boolean;
}

/** Follows all streams and consumers that an agent relies on; says in its log what happens to them. */
export function followAgent(options: AgentPresenceOptions): AgentPresence {
  const { agent, clock, connection, logger, manager, onLogDoubt, onQueueDoubt, requester, streams } = options;
  const presence = new Presence({
    connection,
    requester,
    clock,
    report: ({ level, text, ...asset }) => logger[level](asset, text),
  });
  let log: Followed | undefined;
  // A new leader of a queue has all that was acknowledged to anybody.
  const queueDoubt = { onDoubt: (doubt: Doubt) => (doubt === 'identity' ? onQueueDoubt() : undefined) };
  for (const settings of streams) {
    const { name: stream } = settings;
    const isLog = stream === entityStream(agent);
    const followed = presence.follow({
      stream,
      isLog,
      misfit: (config) => misfit(settings, config),
      ...(isLog ? { onDoubt: onLogDoubt } : {}),
      ...(stream === commandStream(agent) ? queueDoubt : {}),
      ...(stream === SIGNALS_STREAM ? { recreate: () => ensureStream(manager, settings, clock) } : {}),
    });
    if (isLog) log = followed;
  }
  const executor = presence.follow({
    stream: commandStream(agent),
    consumer: EXECUTOR,
    ...queueDoubt,
    recreate: () => ensureExecutor(connection, agent),
    misfit: (config) => lackOf(executorSettings(agent), config),
    mend: () => ensureExecutor(connection, agent),
  });
  return {
    problems: () => presence.problems(),
    stop: () => presence.stop(),
    missesExecutor: () => executor.look(),
    // In a cluster a stream can get replicas at any time, and they may answer before anybody hears of it.
    isReplicated: () => connection.info?.cluster !== undefined || (log?.replicas ?? 0) > 1,
  };
}
