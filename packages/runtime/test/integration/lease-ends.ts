import { eventWildcard } from '@meshforge/protocol';
import { expect } from 'vitest';
import { byEntity, readCommits } from '../support/stream-witness.ts';
import { until } from '../support/until.ts';
import { sendCommand, sendQuery, type NatsConnection } from '../support/wire.ts';

interface Announced {
  event: string;
  version: number;
  sequence: number;
}

/** So many leases are refreshed at once. */
const AT_ONCE = 64;
/** How long the new leases last, in milliseconds: longer than the server may take to end all the old ones. */
const REFRESHED_MS = 8_000;

/**
 * Leases of the agent `guarded` that are due at the same time, and are refreshed around that time: what was acknowledged is not
 * wiped, and ends by itself later.
 */
export class LeaseEnds {
  readonly #connection: NatsConnection;
  readonly #ids: readonly string[];
  readonly #announced = new Map<string, Announced[]>();
  /** Versions of the refreshed leases. */
  readonly #refreshed = new Map<string, number>();

  constructor(connection: NatsConnection, count: number) {
    this.#connection = connection;
    this.#ids = Array.from({ length: count }, (_, i) => `lease ${i}`);
    connection.subscribe(eventWildcard('guarded'), {
      callback: (_error, { data, headers, subject }) => {
        const body = JSON.parse(new TextDecoder().decode(data)) as { entity_id: string; entity_version: number };
        const sequence = Number(headers?.get('Nats-Sequence'));
        const own = this.#announced.get(body.entity_id) ?? [];
        own.push({ event: subject.split('.').at(-1) ?? '', version: body.entity_version, sequence });
        this.#announced.set(body.entity_id, own);
      },
    });
  }

  /** Grants the leases, all until the same moment. @param due milliseconds since the epoch */
  async grant(due: number): Promise<void> {
    await eachOf(this.#ids, (id) => this.#keep(id, Math.max(500, due - Date.now())));
  }

  async untilOneHasEnded(): Promise<void> {
    await until('the first lease has ended', () => this.#ids.some((id) => this.#ends(id).length > 0));
  }

  /** Refreshes them, the last ones first: the server goes through them from the first one on. */
  async refresh(): Promise<void> {
    await eachOf(this.#ids.toReversed(), async (id) => {
      this.#refreshed.set(id, await this.#keep(id, REFRESHED_MS));
    });
  }

  /** Each lease that was refreshed stands until its own end. @returns how many still stood when they were looked at */
  async expectStanding(): Promise<number> {
    const looked = await eachOf(this.#ids, async (id) => {
      const version = this.#refreshed.get(id);
      const { body } = await sendQuery(this.#connection, 'guarded', 'get', { entity_id: id });
      if (this.#ends(id).some((end) => end.version === version)) return false;
      expectLease(body, version, true);
      return true;
    });
    return looked.filter(Boolean).length;
  }

  /** @returns how many expiries came behind the refresh of their lease, and were void */
  async expectEnded(): Promise<number> {
    await until('each refreshed lease has ended by itself', () =>
      this.#ids.every((id) => this.#ends(id).some(({ version }) => version === this.#refreshed.get(id))),
    );
    await eachOf(this.#ids, async (id) => {
      const { body } = await sendQuery(this.#connection, 'guarded', 'get', { entity_id: id });
      expectLease(body, this.#refreshed.get(id), false);
    });
    // Expiries stay in the log, where live events may have been missed.
    const log = byEntity(await readCommits(this.#connection, 'guarded'));
    const voids = this.#ids.flatMap((id) => {
      const refreshed = this.#announced.get(id)?.find(({ event, version }) => {
        return event === 'kept' && version === this.#refreshed.get(id);
      });
      const ends = (log.get(id) ?? []).filter(({ event }) => event === 'lapsed');
      expectVersion(ends.at(-1), this.#refreshed.get(id));
      return ends.filter(({ sequence, version }) => {
        return refreshed !== undefined && sequence > refreshed.sequence && version < refreshed.version;
      });
    });
    return voids.length;
  }

  #ends(id: string): Announced[] {
    return (this.#announced.get(id) ?? []).filter(({ event }) => event === 'lapsed');
  }

  async #keep(id: string, ms: number): Promise<number> {
    const reply = await sendCommand(this.#connection, 'guarded', 'keep', { entityId: id, data: { ms } });
    return versionKept(reply);
  }
}

function expectLease(body: unknown, version: number | undefined, kept: boolean): void {
  expect(body).toMatchObject({ entity_version: version, state: { kept } });
}

function expectVersion(end: unknown, version: number | undefined): void {
  expect(end).toMatchObject({ version });
}

function versionKept({ event, payload }: { event: string; payload: Record<string, unknown> }): number {
  expect(event).toBe('evt.guarded.kept');
  return payload['entity_version'] as number;
}

async function eachOf<T, R>(all: readonly T[], work: (each: T) => Promise<R>): Promise<R[]> {
  const left = [...all];
  const results: R[] = [];
  const take = async (): Promise<void> => {
    for (let each = left.shift(); each !== undefined; each = left.shift()) results.push(await work(each));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  return results;
}
