import { commandStream, entityStream, SIGNALS_STREAM } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from './clock.ts';
import { Presence, type Followed } from './nats/presence/presence.ts';
import type { RequestPort } from './nats/requester.ts';
import { ensureStream, misfit, type StreamSettings } from './nats/streams.ts';
import type { Logger } from './options.ts';
import { EXECUTOR } from './queue/durable-commands.ts';
import { ensureExecutor } from './queue/executor-consumer.ts';

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
}

/** What an agent knows of the streams and consumers that it relies on. */
export interface AgentPresence extends Pick<Presence, 'problems' | 'stop'> {
  /** Whether several servers keep the log of the entities, so that one may answer with something old. */
  isReplicated(): boolean;
}

/** Follows all streams and consumers that an agent relies on; says in its log what happens to them. */
export function followAgent(options: AgentPresenceOptions): AgentPresence {
  const { agent, clock, connection, logger, manager, onLogDoubt, requester, streams } = options;
  const presence = new Presence({
    connection,
    requester,
    clock,
    report: ({ level, text, ...asset }) => logger[level](asset, text),
  });
  let log: Followed | undefined;
  for (const settings of streams) {
    const { name: stream } = settings;
    const isLog = stream === entityStream(agent);
    const followed = presence.follow({
      stream,
      isLog,
      misfit: (config) => misfit(settings, config),
      ...(isLog ? { onDoubt: onLogDoubt } : {}),
      ...(stream === SIGNALS_STREAM ? { recreate: () => ensureStream(manager, settings, clock) } : {}),
    });
    if (isLog) log = followed;
  }
  presence.follow({
    stream: commandStream(agent),
    consumer: EXECUTOR,
    recreate: () => ensureExecutor(connection, agent),
  });
  return {
    problems: () => presence.problems(),
    stop: () => presence.stop(),
    // In a cluster a stream can get replicas at any time, and they may answer before anybody hears of it.
    isReplicated: () => connection.info?.cluster !== undefined || (log?.replicas ?? 0) > 1,
  };
}
