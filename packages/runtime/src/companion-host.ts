import { setMaxListeners } from 'node:events';
import { check, decode, eventSubject, SuccessPayload, type JsonObject } from '@meshforge/protocol';
import { nuid, type NatsConnection } from '@nats-io/nats-core';
import type { Clock } from './clock.ts';
import type { AnyAgent } from './core/agent.ts';
import type { AgentHost, Companion, HeldCommand, HeldCommands, SeenEntity } from './core/companion.ts';
import type { StoreOutcome } from './core/outcome.ts';
import { answerable, type Voice } from './intake/reply.ts';
import type { CommandStats } from './intake/stats.ts';
import { digestOf } from './nats/digest.ts';
import type { EntityReader } from './nats/entity-reader.ts';
import type { StoredHeldCommands } from './nats/held-commands.ts';
import { rawHeaders } from './nats/raw-headers.ts';
import type { Requester } from './nats/requester.ts';
import { untilAnswered } from './nats/server-requirements.ts';
import { utf8 } from './nats/utf8.ts';
import type { EntityStore } from './store/entity-store.ts';

export interface CompanionHostOptions {
  agent: AnyAgent;
  store: EntityStore;
  reader: EntityReader;
  requester: Requester;
  held: HeldCommands;
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

/** Begins what an agent does beside deciding, if it does anything; the companion hears of leases that end. */
export async function startCompanion(
  options: CompanionHostOptions & { connection: NatsConnection; held: StoredHeldCommands },
): Promise<Companion | undefined> {
  const { agent, clock, connection, held, onFault } = options;
  if (agent.companion === undefined) return undefined;
  held.listen();
  await untilAnswered(clock, () => held.load());
  const answerInstead = (command: HeldCommand, outcome: StoreOutcome): void => {
    answerHeld(options, command, outcome).catch(onFault);
  };
  held.watch(answerInstead).catch(onFault);
  const companion = agent.companion(companionHost(options));
  const expiryEvent = agent.lease?.expiryEvent;
  if (expiryEvent === undefined) return companion;
  connection.subscribe(eventSubject(agent.name, expiryEvent), {
    callback: (error, message) => {
      if (error !== null || held.entities().length === 0) return;
      const payload = decode(SuccessPayload, message.data);
      if (payload.ok) companion.expired(payload.value.entity_id);
      else onFault(new TypeError(`an expiry is none: ${payload.reason}`));
    },
  });
  return companion;
}

function companionHost(options: CompanionHostOptions): AgentHost {
  const { agent, clock, held, reader, serverNow, store, onFault } = options;
  return {
    replica: nuid.next(),
    held,
    serverNow,
    sleep: (ms, signal) => {
      // As many may wait for one signal as there are held commands.
      setMaxListeners(0, signal);
      return clock.sleep(ms, signal);
    },
    execute: ({ entityId, action, lease, data, commandId, headers }) => {
      const schema = agent.actions[action]?.data;
      const valid = schema === undefined ? undefined : check(schema, data, 'data');
      if (valid?.ok !== true) throw new TypeError(`${action}: ${valid?.reason ?? 'no such action'}`);
      const checked = valid.value as JsonObject;
      const digest = digestOf(commandId);
      const expectedVersion = undefined;
      return store.execute({
        entityId,
        action,
        expectedVersion,
        lease,
        data: checked,
        commandId,
        digest,
        // It may be the agent's own step of a command that it has taken in.
        bodyDigest: '',
        headers,
      });
    },
    look: async (entityId): Promise<SeenEntity | undefined> => {
      const read = await reader.entity(entityId, true);
      return read.kind === 'read' ? read.value : undefined;
    },
    answer: (command, outcome) => answerHeld(options, command, outcome),
    notify: (event, payload) => options.voice.signal(event, JSON.stringify(payload), []),
    onFault,
  };
}

/** The answer asks for one itself: the server then says if nobody listens to the inbox. */
async function answerHeld(
  { inboxPrefix, requester, serverNow, stats, voice }: CompanionHostOptions,
  command: HeldCommand,
  outcome: StoreOutcome,
): Promise<boolean> {
  if (outcome.kind === 'abandoned' || outcome.kind === 'held') return true;
  const { action, headers, reply, since } = command;
  stats.count(action, outcome.kind, serverNow() - since);
  if ('code' in outcome) voice.signal(outcome.event, outcome.payload, headers);
  if (answerable({ reply }, inboxPrefix) !== 'yes') return false;
  const { body, lines } = voice.answerTo(outcome, headers);
  const answer = await requester.request(reply, utf8(body), rawHeaders(lines), NOBODY_MS);
  return !(answer.kind === 'answer' && answer.message.headers?.code === NO_RESPONDERS);
}
