import { commandStream, entityStream, SIGNALS_STREAM } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from './clock.ts';
import { Presence } from './nats/presence/presence.ts';
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
  /** Durable commands, or the place where their execution stands, are others than before. */
  onQueueReplaced: () => void;
}

/** Follows all streams and consumers that an agent relies on; says in its log what happens to them. */
export function followAgent(options: AgentPresenceOptions): Presence {
  const { agent, clock, connection, logger, manager, onLogDoubt, onQueueReplaced, requester, streams } = options;
  const presence = new Presence({
    connection,
    requester,
    clock,
    report: ({ level, text, ...asset }) => logger[level](asset, text),
  });
  for (const settings of streams) {
    const { name: stream } = settings;
    const isSignals = stream === SIGNALS_STREAM;
    presence.follow({
      stream,
      isLog: stream === entityStream(agent),
      misfit: (config) => misfit(settings, config),
      ...(stream === entityStream(agent) ? { onDoubt: onLogDoubt } : {}),
      ...(stream === commandStream(agent) ? { onReplaced: onQueueReplaced } : {}),
      ...(isSignals ? { recreate: () => ensureStream(manager, settings, clock) } : {}),
    });
  }
  presence.follow({
    stream: commandStream(agent),
    consumer: EXECUTOR,
    recreate: () => ensureExecutor(connection, agent),
    onReplaced: onQueueReplaced,
  });
  return presence;
}
