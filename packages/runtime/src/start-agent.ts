/** The one place that wires an agent: connection, streams, clock, store, intakes, service. */
import { entityStream, SIGNALS_STREAM, type Outcome } from '@meshforge/protocol';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { AgentPresence } from './agent-presence.ts';
import { systemClock, within, type Clock } from './clock.ts';
import { companionHost } from './companion-host.ts';
import type { AnyAgent } from './core/agent.ts';
import type { Companion } from './core/companion.ts';
import { ensureExecutor } from './durable/consumer.ts';
import { startDurable } from './durable/start-durable.ts';
import type { QueueStats } from './durable/worker-options.ts';
import { CommandIntake } from './intake/command-intake.ts';
import { executeHere, type CommandHere } from './intake/execute-here.ts';
import { startMicroService, type MicroService } from './intake/micro-service.ts';
import { QueryIntake } from './intake/query-intake.ts';
import { Voice } from './intake/reply.ts';
import { CommandStats, type ActionStats } from './intake/stats.ts';
import { connectNats } from './nats/connect.ts';
import { EntityReader } from './nats/entity-reader.ts';
import { Requester } from './nats/requester.ts';
import { ServerClock } from './nats/server-clock.ts';
import { requireServer, untilAnswered } from './nats/server-requirements.ts';
import { agentStreams, ensureStream } from './nats/streams.ts';
import { resolveAgentOptions, type AgentOptions, type Logger, type ResolvedAgentOptions } from './options.ts';
import type { ListSubjects } from './store/entity-list.ts';
import { EntityStore } from './store/entity-store.ts';
import { LeaseSweep } from './store/lease-sweep.ts';
import { AgentMetrics } from './telemetry/agent-metrics.ts';
import { VERSION } from './version.ts';

/** An agent that serves. */
export interface RunningAgent {
  readonly name: string;
  /** Whether it can serve now: connected, with all its streams and consumers in place, and not stopping. */
  ready(): boolean;
  /** Why it cannot serve now; empty when it is ready. */
  problems(): string[];
  stats(): AgentStats;
  /**
   * Decides a command in this process, as if it had been requested, without the way over NATS: for a service that is an agent
   * and takes its commands by HTTP or from a timer as well. Events and the commit go out as ever. A refusal for want of
   * a server is the outcome `unavailable`.
   *
   * @throws MeshError `invalid_options`, and `timeout` when the agent stopped before the fate of the command was known
   */
  execute(action: string, command: CommandHere): Promise<Outcome & { commandId: string }>;
  /** Takes nothing new in, answers what is under way (for at most `drainTimeoutMs`), and disconnects. */
  stop(): Promise<void>;
  /** Resolves when it has stopped; with the fault, if one stopped it. */
  readonly stopped: Promise<Error | undefined>;
}

export interface AgentStats {
  actions: Record<string, ActionStats>;
  inFlight: number;
  cache: { entities: number; bytes: number };
  /** Durable commands. */
  queue: QueueStats;
}

/**
 * Starts an agent: connects, creates its streams or checks them, and serves its commands and queries. Any number of
 * replicas may run; the server's compare-and-set decides between them.
 *
 * @throws MeshError `connection`, `invalid_options`, `server_unsuitable`, `stream_mismatch`
 * @throws TypeError where the agent's schemas use a type that JSON does not have
 */
export function startAgent(agent: AnyAgent, options: AgentOptions = {}): Promise<RunningAgent> {
  return startAgentOn(SYSTEM, agent, options);
}

/** What an agent has of its machine: simulations replace it whole. */
export interface AgentPorts {
  clock: Clock;
  connect: typeof connectNats;
}

const SYSTEM: AgentPorts = { clock: systemClock, connect: connectNats };

/** {@link startAgent} on other ports. */
export async function startAgentOn(
  { clock, connect }: AgentPorts,
  agent: AnyAgent,
  options: AgentOptions = {},
): Promise<RunningAgent> {
  const resolved = resolveAgentOptions(agent.name, options);
  const connection = await connect(resolved.nats, (why, servers) =>
    resolved.logger.warn({ servers, why }, 'cannot connect to NATS yet; trying again'),
  );
  try {
    const manager = await requireServer(connection, clock);
    for (const settings of agentStreams(agent, resolved.streamReplicas)) {
      await untilAnswered(clock, () => ensureStream(manager, settings, clock));
    }
    await untilAnswered(clock, () => ensureExecutor(connection, agent.name));
    return await serve(agent, resolved, clock, connection, manager);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function serve(
  agent: AnyAgent,
  options: ResolvedAgentOptions,
  clock: Clock,
  connection: NatsConnection,
  manager: JetStreamManager,
): Promise<RunningAgent> {
  const { logger } = options;
  const stream = entityStream(agent.name);
  const requester = new Requester(connection, options.nats.inboxPrefix, clock, options.storeTimeoutMs);
  const serverClock = new ServerClock(clock, async () => (await manager.streams.info(stream)).ts ?? '');
  await untilAnswered(clock, () => serverClock.start());

  const onFault = (err: unknown): void => {
    // What ends after the connection has nobody to answer.
    if (!connection.isClosed()) logger.error({ err }, 'a message could not be handled');
  };
  const maxPayload = (): number => connection.info?.max_payload ?? 1_048_576;
  const streams = agentStreams(agent, options.streamReplicas);
  const presence = new AgentPresence(
    { agent: agent.name, streams, connection, manager, requester, clock, logger },
    () => {
      store.forgetAll();
      sweep.forget();
    },
  );
  const reader = new EntityReader({
    agent,
    requester,
    isReplicated: () => presence.isReplicated(),
    serverNow: () => serverClock.now(),
  });
  const metrics = new AgentMetrics(agent.name);
  const store = new EntityStore({
    agent,
    reader,
    requester,
    clock,
    serverNow: () => serverClock.now(),
    isTimeDoubtful: () => serverClock.isDoubtful,
    measureServerTime: () => serverClock.measure(),
    cache: options.cache,
    maxPayload,
    onDefect: (action, reason, cause) => logger.error({ action, err: cause }, reason),
    onCommit: (entityId, event, entity, data) => companion?.committed(entityId, event, entity, data),
    onPublish: (action, result, ms) => metrics.publish(action, result, ms),
  });
  const subjects: ListSubjects = async (filter) =>
    (await manager.streams.info(stream, { subjects_filter: filter })).state.subjects ?? {};
  const sweep = new LeaseSweep({
    agent,
    clock,
    reader,
    store,
    subjects,
    serverNow: () => serverClock.now(),
    onFault,
  });
  const stats = new CommandStats(Object.keys(agent.actions), (action, kind, ms) => metrics.command(action, kind, ms));
  const voice = new Voice(connection, agent.name);
  const connected = watchConnection(connection, logger, async () => {
    await serverClock.measure();
  });
  const companion = agent.companion?.(
    companionHost({
      agent,
      connection,
      store,
      reader,
      requester,
      voice,
      stats,
      clock,
      serverNow: () => serverClock.now(),
      inboxPrefix: options.replyPrefix,
      onFault,
    }),
  );
  const shared = { agent, voice, maxInFlight: options.maxInFlight, inboxPrefix: options.replyPrefix, onFault };
  const defers =
    companion === undefined
      ? undefined
      : (...[command, code, remembered]: Parameters<Companion['defers']>) =>
          companion.defers(command, code, remembered);
  const commands = new CommandIntake({ ...shared, store, stats, defers, serverNow: () => serverClock.now() });
  const view =
    companion === undefined
      ? undefined
      : (...[entityId, entity, query]: Parameters<Companion['view']>) => companion.view(entityId, entity, query);
  const queries = new QueryIntake({ ...shared, reader, requester, maxPayload, subjects, view });
  if (agent.lease !== undefined) void sweep.run();
  const service = await startMicroService({
    agent,
    connection,
    version: VERSION,
    inboxPrefix: options.replyPrefix,
    stats,
    onCommand: (action, message) => commands.handle(action, message),
    onQuery: (kind, message) => queries.handle(kind, message),
  });
  const queue = startDurable({
    agent: agent.name,
    options,
    connection,
    requester,
    clock,
    serverNow: () => serverClock.now(),
    maxPayload,
    intake: commands,
    store,
    voice,
    onAbsent: () => presence.missesExecutor(),
    onFault,
  });
  presence.followQueue(() => queue.forget());
  await connection.flush();
  logger.info({ agent: agent.name, stream, signals: SIGNALS_STREAM, server: connection.getServer() }, 'agent serves');

  let stopping: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // A connection that is gone can neither be drained nor flushed: it must not hold up the end.
    const drain = async (): Promise<void> => {
      await Promise.all([service.stop(), queue.stop()]);
      await Promise.all([commands.drained(), queries.drained()]);
      await companion?.stop();
      await connection.flush();
    };
    const draining = drain().catch(() => {});
    await within(clock, options.drainTimeoutMs, draining);
    presence.stop();
    store.stop();
    sweep.stop();
    serverClock.stop();
    requester.close();
    await connection.close();
  };
  const stop = (): Promise<void> => (stopping ??= close());
  const problems = (): string[] => {
    if (stopping !== undefined) return ['the agent stops'];
    return [
      ...(connected() && !connection.isClosed() ? [] : ['there is no connection to NATS']),
      ...presence.problems(),
    ];
  };
  return {
    name: agent.name,
    ready: () => problems().length === 0,
    problems,
    stats: () => ({
      actions: stats.all(),
      inFlight: commands.inFlight,
      cache: { entities: store.cache.size, bytes: store.cache.bytes },
      queue: queue.stats(),
    }),
    execute: (action, command) => executeHere(commands, agent.name, action, command),
    stop,
    stopped: whenStopped(service, connection, stop),
  };
}

/** A service that the module below stopped, or a connection that closed for good, ends the agent with that fault. */
async function whenStopped(
  service: MicroService,
  connection: NatsConnection,
  stop: () => Promise<void>,
): Promise<Error | undefined> {
  const fault = await Promise.race([service.stopped, connection.closed()]);
  await stop();
  return fault instanceof Error ? fault : undefined;
}

/** Follows the connection's state; tells whether it stands. */
function watchConnection(connection: NatsConnection, logger: Logger, onReconnect: () => Promise<void>): () => boolean {
  let connected = true;
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        connected = false;
        logger.warn({ server: status.server }, 'disconnected from NATS; reconnecting');
      } else if (status.type === 'reconnect') {
        connected = true;
        logger.info({ server: status.server }, 'reconnected to NATS');
        onReconnect().catch(() => {});
      } else if (status.type === 'error') {
        logger.error({ err: status.error }, 'NATS reports an error');
      }
    }
  })();
  return () => connected;
}
