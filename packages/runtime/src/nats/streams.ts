/** The streams of MeshForge as data, and how they come into being. */
import { isDeepStrictEqual } from 'node:util';
import {
  commandStream,
  DEAD_LETTERS_STREAM,
  DEAD_LETTERS_WILDCARD,
  decidedWildcard,
  delayedCommandWildcard,
  entityStream,
  entityWildcard,
  LIMITS,
  queuedCommandWildcard,
  REPUBLISH,
  SIGNALS_STREAM,
  SIGNALS_SUBJECTS,
} from '@meshforge/protocol';
import { JetStreamApiError, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import type { Clock } from '../clock.ts';
import type { AnyAgent } from '../core/agent.ts';
import { MeshError } from '../errors.ts';
import { NoAnswerError, STREAM_NAME_IN_USE, STREAM_NOT_FOUND } from './jetstream-errors.ts';

const SECOND_NS = 1_000_000_000;
/** The server recognises a repeated message id this long. */
const DEDUPE_WINDOW_NS = 10 * 60 * SECOND_NS;
const SIGNALS_AGE_NS = 7 * 24 * 60 * 60 * SECOND_NS;

/** Settings that the client's types do not know yet. */
export type StreamSettings = Partial<StreamConfig> & {
  name: string;
  allow_msg_schedules?: boolean;
  allow_msg_ttl?: boolean;
};

/** The log of an agent's entities. */
function entityStreamSettings(agent: AnyAgent, replicas: number): StreamSettings {
  const leased = agent.lease !== undefined;
  return {
    name: entityStream(agent.name),
    description: `MeshForge: commits of the agent ${agent.name}`,
    subjects: [entityWildcard(agent.name)],
    retention: 'limits',
    storage: 'file',
    num_replicas: replicas,
    // The server itself emits the events.
    republish: { ...REPUBLISH },
    allow_direct: true,
    duplicate_window: DEDUPE_WINDOW_NS,
    deny_delete: true,
    // Schedules end leases; they need roll-up and purge, and rule out discarding new messages.
    deny_purge: !leased,
    discard: leased ? 'old' : 'new',
    allow_rollup_hdrs: leased,
    // What the stream forgets of an entity begins anew at version 1. A full stream may refuse, but never drop.
    max_age: 0,
    max_msgs_per_subject: -1,
    ...(leased ? { max_msgs: -1, max_bytes: -1, allow_msg_schedules: true } : {}),
  };
}

/** Durable commands to an agent, until they are executed; and those that wait for their time. */
function commandStreamSettings(agent: AnyAgent, replicas: number): StreamSettings {
  return {
    name: commandStream(agent.name),
    description: `MeshForge: durable commands to the agent ${agent.name}`,
    subjects: [queuedCommandWildcard(agent.name), delayedCommandWildcard(agent.name), decidedWildcard(agent.name)],
    retention: 'workqueue',
    storage: 'file',
    num_replicas: replicas,
    duplicate_window: DEDUPE_WINDOW_NS,
    // Schedules make commands wait; they rule out discarding new messages, so nothing may be discarded for want of room.
    allow_msg_schedules: true,
    allow_rollup_hdrs: true,
    discard: 'old',
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    max_msg_size: LIMITS.durableBytes,
    // What is said of a command that was cancelled leaves by itself.
    allow_msg_ttl: true,
  };
}

/** What agents could not execute, until somebody sees to it. */
function deadLetterStreamSettings(replicas: number): StreamSettings {
  return {
    name: DEAD_LETTERS_STREAM,
    description: 'MeshForge: commands and events that could not be handled',
    subjects: [DEAD_LETTERS_WILDCARD],
    retention: 'limits',
    storage: 'file',
    num_replicas: replicas,
    discard: 'new',
    max_age: 0,
    max_msgs_per_subject: -1,
  };
}

/** The audit trail of commands that changed nothing. */
function signalsStreamSettings(replicas: number): StreamSettings {
  return {
    name: SIGNALS_STREAM,
    description: 'MeshForge: conflicts, rejections and denials of all agents',
    subjects: [...SIGNALS_SUBJECTS],
    retention: 'limits',
    storage: 'file',
    num_replicas: replicas,
    max_age: SIGNALS_AGE_NS,
    discard: 'old',
    allow_direct: true,
  };
}

/** All streams that an agent needs. */
export function agentStreams(agent: AnyAgent, replicas: number): StreamSettings[] {
  return [
    entityStreamSettings(agent, replicas),
    commandStreamSettings(agent, replicas),
    signalsStreamSettings(replicas),
    deadLetterStreamSettings(replicas),
  ];
}

/**
 * Creates the stream, or checks that the one which exists is as it must be.
 *
 * A new stream counts from the microseconds since 1970. So sequences of a stream that was deleted and created again never
 * meet those of before, and a publish that expects an old one is refused.
 *
 * @param clock its wall clock gives the first sequence
 * @throws MeshError `stream_mismatch` naming each setting, what it is and what was expected
 * @throws NoAnswerError while another process creates it
 */
export async function ensureStream(manager: JetStreamManager, settings: StreamSettings, clock: Clock): Promise<void> {
  const existing = await findStream(manager, settings.name);
  if (existing !== undefined) return requireSettings(settings, existing);
  try {
    await manager.streams.add({ ...settings, first_seq: firstSequence(clock) });
  } catch (error) {
    // Another process created it in the same moment, with another first sequence.
    if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NAME_IN_USE) throw error;
    const created = await findStream(manager, settings.name);
    if (created === undefined) throw new NoAnswerError(settings.name, 'another process creates it');
    requireSettings(settings, created);
  }
}

/** A safe integer until the year 2255. */
function firstSequence(clock: Clock): number {
  return Math.floor(clock.wall()) * 1_000;
}

async function findStream(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

/** One setting of a stream that is not as MeshForge needs it. */
interface Difference {
  key: string;
  expected: unknown;
  found: unknown;
}

/** How a stream differs from what MeshForge needs. Settings that MeshForge does not set may be any. */
function differences(expected: Partial<StreamSettings>, found: object): Difference[] {
  return (
    Object.entries(expected)
      .filter(([key]) => key !== 'description')
      .map(([key, value]) => ({ key, expected: value, found: (found as Record<string, unknown>)[key] }))
      // The server leaves out settings that are off.
      .filter((setting) => !isDeepStrictEqual(setting.found ?? false, setting.expected ?? false))
  );
}

/** What is unsuitable about a stream that is in use; its number of replicas may change at any time. */
export function misfit({ num_replicas: _any, ...expected }: StreamSettings, found: object): string | undefined {
  const wrong = differences(expected, found);
  return wrong.length === 0 ? undefined : listOf(wrong);
}

/** Differences as text. */
function listOf(found: readonly Difference[]): string {
  return found
    .map(({ key, expected, found: is }) => `${key} is ${JSON.stringify(is)}, expected ${JSON.stringify(expected)}`)
    .join('; ');
}

function requireSettings(expected: StreamSettings, found: StreamConfig): void {
  const wrong = differences(expected, found);
  if (wrong.length === 0) return;
  throw new MeshError({
    code: 'stream_mismatch',
    message:
      `stream ${expected.name} exists with other settings: ${listOf(wrong)}. ` +
      `Mend it with "nats stream edit ${expected.name}", or move it away; for num_replicas, set STREAM_REPLICAS`,
    details: { stream: expected.name, differences: wrong },
  });
}
