import { setMaxListeners } from 'node:events';
import { check, decode, eventSubject, HEADERS, SuccessPayload, type JsonObject } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Clock } from './clock.ts';
import type { AnyAgent } from './core/agent.ts';
import type { AgentHost, RefusedCommand } from './core/companion.ts';
import type { CommandHeaders } from './core/decide.ts';
import type { StoreOutcome } from './core/outcome.ts';
import { answerable, type Voice } from './intake/reply.ts';
import type { CommandStats } from './intake/stats.ts';
import { digestOf } from './nats/digest.ts';
import type { EntityReader } from './nats/entity-reader.ts';
import { rawHeaders } from './nats/raw-headers.ts';
import type { Requester } from './nats/requester.ts';
import { utf8 } from './nats/utf8.ts';
import type { EntityStore } from './store/entity-store.ts';

export interface CompanionHostOptions {
  agent: AnyAgent;
  connection: NatsConnection;
  store: EntityStore;
  reader: EntityReader;
  requester: Requester;
  voice: Voice;
  stats: CommandStats;
  clock: Clock;
  serverNow: () => number;
  /** Only reply subjects that begin so are answered. */
  inboxPrefix: string;
  onFault: (error: unknown) => void;
}

/** How long the server may take to say that nobody listens to an inbox any more, in milliseconds. */
const NOBODY_MS = 1_000;
const NO_RESPONDERS = 503;

export function companionHost(options: CompanionHostOptions): AgentHost {
  const { agent, clock, connection, onFault, reader, serverNow, store, voice } = options;
  return {
    serverNow,
    sleep: (ms, signal) => {
      // Many may wait for one signal.
      setMaxListeners(0, signal);
      return clock.sleep(ms, signal);
    },
    execute: (command, action, data, commandId = command.commandId) => {
      const schema = agent.actions[action]?.data;
      const valid = schema === undefined ? undefined : check(schema, data, 'data');
      if (valid?.ok !== true) throw new TypeError(`${action}: ${valid?.reason ?? 'no such action'}`);
      const isItself = commandId === command.commandId;
      return store.execute({
        entityId: command.entityId,
        action,
        expectedVersion: undefined,
        lease: isItself ? command.lease : undefined,
        data: valid.value as JsonObject,
        commandId,
        digest: digestOf(commandId),
        // It may be the agent's own step of a command that it has taken in.
        bodyDigest: '',
        headers: isItself ? command.headers : headersOf(commandId, command),
      });
    },
    look: async (entityId) => {
      const read = await reader.entity(entityId, true);
      return read.kind === 'read' ? read.value : undefined;
    },
    answer: (command, outcome) => answerLate(options, command, outcome),
    hear: (events, onEvent) => {
      const subscriptions = events.map((event) =>
        connection.subscribe(eventSubject(agent.name, event), {
          callback: (error, message) => {
            if (error !== null) return;
            const payload = decode(SuccessPayload, message.data);
            if (!payload.ok) onFault(new TypeError(`an event ${event} is none: ${payload.reason}`));
            else onEvent(event, payload.value);
          },
        }),
      );
      return () => {
        for (const subscription of subscriptions) subscription.unsubscribe();
      };
    },
    notify: (event, payload) => voice.signal(event, JSON.stringify(payload), []),
    onFault,
  };
}

/** Of a command that the agent sends for the sake of another one. */
function headersOf(commandId: string, cause: RefusedCommand): CommandHeaders {
  const inherited = cause.headers.filter(([name]) => name !== HEADERS.commandId && name !== HEADERS.causationId);
  return [[HEADERS.commandId, commandId], [HEADERS.causationId, cause.commandId], ...inherited];
}

/** The answer asks for one itself: the server then says if nobody listens to the inbox. */
async function answerLate(
  { inboxPrefix, requester, serverNow, stats, voice }: CompanionHostOptions,
  { action, headers, reply, since }: RefusedCommand,
  outcome: StoreOutcome,
): Promise<boolean> {
  if (outcome.kind === 'abandoned' || outcome.kind === 'deferred') return true;
  stats.count(action, outcome.kind, serverNow() - since);
  const isRefused = outcome.kind === 'conflict' || outcome.kind === 'rejected' || outcome.kind === 'denied';
  if (isRefused) voice.signal(outcome.event, outcome.payload, headers);
  if (answerable({ reply }, inboxPrefix) !== 'yes') return false;
  const time = [HEADERS.serverTime, new Date(serverNow()).toISOString()] as const;
  const { body, lines } = voice.answerTo(outcome, [...headers, time]);
  const answer = await requester.request(reply, utf8(body), rawHeaders(lines), NOBODY_MS);
  return !(answer.kind === 'answer' && answer.message.headers?.code === NO_RESPONDERS);
}
