import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';
import type { CommandIntake } from '../intake/command-intake.ts';
import type { Voice } from '../intake/reply.ts';
import type { Requester } from '../nats/requester.ts';
import type { ResolvedAgentOptions } from '../options.ts';
import { DeadLetters } from './dead-letters.ts';
import { durableCommands } from './durable-commands.ts';
import { LetterIntake } from './letter-intake.ts';
import type { EntityStore } from '../store/entity-store.ts';
import type { QueueStats } from './worker-options.ts';

interface StartOptions {
  agent: string;
  options: ResolvedAgentOptions;
  connection: NatsConnection;
  requester: Requester;
  clock: Clock;
  serverNow: () => number;
  maxPayload: () => number;
  intake: CommandIntake;
  store: EntityStore;
  voice: Voice;
  /** The consumer may be gone. */
  onAbsent: () => void;
  onFault: (error: unknown) => void;
}

/** An agent's durable commands, as they are worked off. */
export interface RunningCommands {
  stats(): QueueStats;
  /** The stream or its consumer may be another one by now. */
  forget(): void;
  /** Takes nothing more in; resolves when nothing is under way. */
  stop(): Promise<void>;
}

/** Begins to execute durable commands, when it is this replica's turn, and to answer what is asked of dead letters. */
export function startDurable({ maxPayload, options, voice, ...shared }: StartOptions): RunningCommands {
  const { agent, connection, onFault, requester } = shared;
  const { logger, replyPrefix, retry } = options;
  const letters = new DeadLetters(requester, agent);
  const commands = durableCommands({
    ...shared,
    inboxPrefix: options.nats.inboxPrefix,
    letters,
    retry,
    onRetry: (subject, reason, tries) => logger.warn({ subject, reason, tries }, 'a durable command is tried again'),
    onDead: (subject, reason) => logger.error({ subject, reason }, 'a durable command is dead'),
  });
  const intake = new LetterIntake({
    agent,
    connection,
    voice,
    letters,
    inboxPrefix: replyPrefix,
    maxPayload,
    replay: (letter) => letters.putBack(letter),
    onFault,
  });
  commands.start();
  return {
    stats: () => commands.stats(),
    forget: () => commands.forget(),
    stop: async () => {
      await Promise.all([commands.stop(), intake.stop()]);
    },
  };
}
