/**
 * Which replicas of an agent there are, and which of them to send a command to first.
 *
 * All commands on one entity go to the same replica, chosen by rendezvous hashing (Thaler and Ravishankar, 1998): so its cache
 * is not outdated by what another replica commits. A wrong choice does no harm, for any replica can decide any command. The
 * first try goes to that replica; every further one to whichever takes it.
 */
import { isReplica } from '@meshforge/protocol';
import { createInbox, type Msg, type NatsConnection } from '@nats-io/nats-core';
import type { Clock } from '../clock.ts';

/** Between two looks at which replicas there are, in milliseconds, while commands are sent. */
const LOOK_MS = 5_000;
/** A replica that has not answered for so long, in milliseconds, is not sent to. */
const GONE_MS = 12_000;
/** So long, in milliseconds, a replica is left alone that did not answer a command. */
const SUSPECT_MS = 5_000;

interface Replica {
  seenAt: number;
  suspectUntil: number;
  seed: number;
}

interface Agent {
  replicas: Map<string, Replica>;
  lookedAt: number;
}

export class Replicas {
  readonly #connection: Pick<NatsConnection, 'publish' | 'subscribe'>;
  readonly #clock: Clock;
  readonly #inbox: string;
  readonly #agents = new Map<string, Agent>();
  #isListening = false;

  constructor(connection: Pick<NatsConnection, 'publish' | 'subscribe'>, inboxPrefix: string, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#inbox = `${createInbox(inboxPrefix)}.`;
  }

  /** The replica for the first try of a command on an entity; undefined: none is known to be better than another. */
  choose(agent: string, entityId: string): string | undefined {
    const now = this.#clock.monotonic();
    const known = this.#agents.get(agent) ?? { replicas: new Map<string, Replica>(), lookedAt: -LOOK_MS };
    this.#agents.set(agent, known);
    if (now - known.lookedAt >= LOOK_MS) this.#look(agent, known, now);
    if (known.replicas.size < 2) return undefined;
    const hash = hashOf(entityId);
    let best: string | undefined;
    let highest = -1;
    for (const [id, { seed, seenAt, suspectUntil }] of known.replicas) {
      if (now - seenAt > GONE_MS || now < suspectUntil) continue;
      const weight = mixed(hash ^ seed);
      if (weight <= highest) continue;
      highest = weight;
      best = id;
    }
    return best;
  }

  /** A replica did not answer, or is not there any more: the others are better for a while. */
  suspect(agent: string, id: string): void {
    const replica = this.#agents.get(agent)?.replicas.get(id);
    if (replica !== undefined) replica.suspectUntil = this.#clock.monotonic() + SUSPECT_MS;
  }

  #look(agent: string, known: Agent, now: number): void {
    known.lookedAt = now;
    for (const [id, { seenAt }] of known.replicas) if (now - seenAt > GONE_MS) known.replicas.delete(id);
    try {
      if (!this.#isListening) this.#listen();
      this.#connection.publish(`$SRV.PING.${agent}`, new Uint8Array(), { reply: this.#inbox + agent });
    } catch {
      // Without a connection there is nobody to choose from.
    }
  }

  #listen(): void {
    this.#isListening = true;
    this.#connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#see(message.subject.slice(this.#inbox.length), message);
      },
    });
  }

  #see(agent: string, message: Msg): void {
    const id = idIn(message);
    const known = this.#agents.get(agent);
    if (id === undefined || known === undefined) return;
    const seenAt = this.#clock.monotonic();
    const replica = known.replicas.get(id);
    if (replica === undefined) known.replicas.set(id, { seenAt, suspectUntil: 0, seed: hashOf(id) });
    else replica.seenAt = seenAt;
  }
}

/** Undefined where nobody answers, or not as a micro service does. */
function idIn(message: Msg): string | undefined {
  try {
    const { id } = message.json<{ id?: unknown }>();
    return isReplica(id) ? id : undefined;
  } catch {
    return undefined;
  }
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The last mixing steps of MurmurHash3: each bit of the input changes half of those of the output. */
function mixed(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
