import {
  commandSubject,
  decodeJson,
  encode,
  eventSubject,
  inventoryContract,
  lockContract,
  printable,
} from '@meshforge/protocol';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { Say } from './narrator.ts';

const patienceMs = 30_000;
const subjectWidth = 23;
const maxTextCharacters = 65;
/** The shortest that the lock manager grants. */
const ttlMs = 500;

/** One command of the story. */
interface Sent {
  readonly agent: string;
  readonly action: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly expectedVersion?: number;
}

/**
 * Creates one item, changes it twice at once, locks it and lets the lock expire. Every line is a command as it is sent, or an
 * event as it arrives. @throws Error when an event does not come
 */
export async function tellStory(connection: NatsConnection, id: string, say: Say): Promise<void> {
  const scene = new Scene(connection, id, say);
  // On a cluster the agents' servers have to know of the subscription first.
  await connection.flush();
  const { name: inventory } = inventoryContract;
  const { name: lock } = lockContract;
  try {
    say(`Ann creates the item "${id}".`);
    await scene.play(
      [{ agent: inventory, action: 'create', data: { name: 'Bolt', quantity: 10 } }],
      [eventSubject(inventory, 'created')],
    );
    say('Ann and Bob have both read version 1. Both change it at once, and only one of them can.');
    const adjust = { agent: inventory, action: 'adjust', expectedVersion: 1 };
    await scene.play(
      [
        { ...adjust, data: { delta: -2 } },
        { ...adjust, data: { delta: -3 } },
      ],
      [eventSubject(inventory, 'adjusted'), eventSubject(inventory, 'conflict')],
    );
    say('Ann locks the item for half a second: Bob cannot. Nobody unlocks it; the server ends the lock.');
    const acquire = { agent: lock, action: 'acquire' };
    await scene.play([{ ...acquire, data: { owner_id: 'ann', ttl_ms: ttlMs } }], [eventSubject(lock, 'acquired')]);
    await scene.play([{ ...acquire, data: { owner_id: 'bob' } }], [eventSubject(lock, 'denied')]);
    await scene.play([], [eventSubject(lock, 'expired')]);
  } finally {
    scene.end();
  }
}

/** Commands on one entity, and the events about it as they arrive. */
class Scene {
  readonly #connection: NatsConnection;
  readonly #id: string;
  readonly #say: Say;
  readonly #awaited = new Map<string, () => void>();
  readonly #subscription: { unsubscribe(): void };
  readonly #startedAt = performance.now();

  constructor(connection: NatsConnection, id: string, say: Say) {
    this.#connection = connection;
    this.#id = id;
    this.#say = say;
    this.#subscription = connection.subscribe('evt.>', { callback: (_error, message) => this.#onEvent(message) });
  }

  /** Sends the commands at once and waits for the events. */
  async play(commands: readonly Sent[], events: readonly string[]): Promise<void> {
    const arrivals = events.map((event) => this.#arrivalOf(event));
    for (const { agent, action, data, expectedVersion } of commands) {
      const subject = commandSubject(agent, action);
      const guard = expectedVersion === undefined ? '' : `expected_version ${expectedVersion}, `;
      this.#line('→', subject, guard + JSON.stringify(data));
      const body = { entity_id: this.#id, expected_version: expectedVersion, data };
      this.#connection.publish(subject, encode(body));
    }
    await Promise.all(arrivals);
  }

  end(): void {
    this.#subscription.unsubscribe();
  }

  async #arrivalOf(event: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#awaited.set(event, resolve);
        timer = setTimeout(() => reject(new Error(`no ${event} within ${patienceMs / 1000} s`)), patienceMs);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  #onEvent({ subject, data }: Msg): void {
    const decoded = decodeJson(data);
    if (!decoded.ok || typeof decoded.value !== 'object' || decoded.value === null) return;
    const payload = decoded.value as Readonly<Record<string, unknown>>;
    if (payload['entity_id'] !== this.#id) return;
    this.#line('•', subject, essence(payload));
    this.#awaited.get(subject)?.();
  }

  #line(sign: string, subject: string, text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(3);
    this.#say(
      `${seconds.padStart(7)} s  ${sign} ${subject.padEnd(subjectWidth)}  ${printable(text, maxTextCharacters)}`,
    );
  }
}

/** What a reader looks at: why nothing changed, or the entity as it is now. */
function essence({ reason, entity_version: version, state }: Readonly<Record<string, unknown>>): string {
  if (typeof reason === 'string') return reason;
  const { quantity, owner_id: owner, fencing_token: token } = (state ?? {}) as Readonly<Record<string, unknown>>;
  return Object.entries({ version, quantity, owner, 'fencing token': token })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}
