import { MeshError } from './errors.ts';
import { INBOX_PREFIX, type ConnectOptions } from './nats/connect.ts';
import { DEFAULT_RETRY, type RetryPolicy } from './durable/retry-policy.ts';
import { DEFAULT_CACHE, type CacheLimits } from './store/entity-cache.ts';

/** Where an agent tells what happens to it: an object such as a pino logger. */
export interface Logger {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export interface AgentOptions {
  /** How to reach NATS; the inbox prefix defaults to `_INBOX_<agent name>`, so that permissions can be given on it. */
  nats?: ConnectOptions;
  /** Replicas of the agent's streams: 1, 3 or 5. Default 1. */
  streamReplicas?: number;
  /** Bounds of the in-process cache. */
  cache?: Partial<CacheLimits>;
  /** Commands decided at once, and as many queries; more are answered `unavailable`. Default 8,192. */
  maxInFlight?: number;
  /** Only reply subjects that begin so are answered. Default `_INBOX`. */
  replyPrefix?: string;
  /** How long `stop()` waits for commands under way, in milliseconds. Default 10,000. */
  drainTimeoutMs?: number;
  /** How long a publish or read may take before it is looked at again, in milliseconds. Default 5,000. */
  storeTimeoutMs?: number;
  /** How often a durable command is tried that met a fault. */
  retry?: Partial<RetryPolicy>;
  /** Default: silent. */
  logger?: Logger;
}

export interface ResolvedAgentOptions {
  nats: ConnectOptions & { inboxPrefix: string };
  streamReplicas: number;
  cache: CacheLimits;
  maxInFlight: number;
  replyPrefix: string;
  drainTimeoutMs: number;
  storeTimeoutMs: number;
  retry: RetryPolicy;
  logger: Logger;
}

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Options in, every one resolved out, once. @throws MeshError `invalid_options` */
export function resolveAgentOptions(agentName: string, options: AgentOptions): ResolvedAgentOptions {
  const { nats = {}, cache = {} } = options;
  return {
    nats: { name: agentName, ...nats, inboxPrefix: nats.inboxPrefix ?? `${INBOX_PREFIX}_${agentName}` },
    streamReplicas: oneOf('streamReplicas', options.streamReplicas ?? 1, [1, 3, 5]),
    cache: {
      entities: atLeast('cache.entities', cache.entities ?? DEFAULT_CACHE.entities, 0),
      bytes: atLeast('cache.bytes', cache.bytes ?? DEFAULT_CACHE.bytes, 0),
    },
    maxInFlight: atLeast('maxInFlight', options.maxInFlight ?? 8_192, 1),
    replyPrefix: options.replyPrefix ?? INBOX_PREFIX,
    drainTimeoutMs: atLeast('drainTimeoutMs', options.drainTimeoutMs ?? 10_000, 0),
    storeTimeoutMs: atLeast('storeTimeoutMs', options.storeTimeoutMs ?? 5_000, 100),
    retry: resolveRetry(options.retry),
    logger: options.logger ?? silent,
  };
}

/** @throws MeshError `invalid_options` */
export function resolveRetry(retry: Partial<RetryPolicy> = {}): RetryPolicy {
  const { firstPauseMs, maxAgeMs, maxPauseMs, maxTries } = { ...DEFAULT_RETRY, ...retry };
  return {
    maxTries: atLeast('retry.maxTries', maxTries, 1),
    maxAgeMs: atLeast('retry.maxAgeMs', maxAgeMs, 0),
    firstPauseMs: atLeast('retry.firstPauseMs', firstPauseMs, 1),
    maxPauseMs: atLeast('retry.maxPauseMs', maxPauseMs, 1),
  };
}

function atLeast(option: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw new MeshError({
    code: 'invalid_options',
    message: `${option} is ${value}: expected an integer of at least ${least}`,
    details: { option, value },
  });
}

function oneOf(option: string, value: number, allowed: readonly number[]): number {
  if (allowed.includes(value)) return value;
  throw new MeshError({
    code: 'invalid_options',
    message: `${option} is ${value}: expected one of ${allowed.join(', ')}`,
    details: { option, value },
  });
}
