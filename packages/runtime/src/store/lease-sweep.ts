import { entityEventFilter, parseSubject } from '@meshforge/protocol';
import type { Clock } from '../clock.ts';
import type { AnyAgent } from '../core/agent.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import type { ListSubjects } from './entity-list.ts';
import type { EntityStore } from './entity-store.ts';
import { isLost } from './lost-lease.ts';

/** How often the leases that stand are looked through, in milliseconds; replicas spread by jitter. */
const SWEEP_MS = 10_000;
const AT_ONCE = 64;

export interface LeaseSweepOptions {
  agent: AnyAgent;
  clock: Clock;
  reader: EntityReader;
  store: Pick<EntityStore, 'endLostLease'>;
  subjects: ListSubjects;
  serverNow: () => number;
  onFault: (error: unknown) => void;
}

/**
 * The safety net under the server's schedules: finds leases that the server should have ended and did not, and has the store end
 * them. A lease is read once, and again only when it would have ended.
 */
export class LeaseSweep {
  readonly #options: LeaseSweepOptions;
  readonly #stopping = new AbortController();
  /** When a lease ends, by the subject of its commit. */
  #ends = new Map<string, number>();

  constructor(options: LeaseSweepOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { clock, onFault } = this.#options;
    while (!this.#stopping.signal.aborted) {
      await clock.sleep(SWEEP_MS * (0.8 + 0.4 * clock.random()), this.#stopping.signal);
      // The next sweep is the retry.
      if (!this.#stopping.signal.aborted) await this.sweep().catch(onFault);
    }
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** The log may be another one by now. */
  forget(): void {
    this.#ends.clear();
  }

  async sweep(): Promise<void> {
    const { agent, serverNow, subjects } = this.#options;
    const standing: string[] = [];
    // The server takes the commit of a lease out when the lease ends.
    for (const event of agent.lease?.events ?? []) {
      standing.push(...Object.keys(await subjects(entityEventFilter(agent.name, event))));
    }
    this.#ends = new Map(standing.map((subject) => [subject, this.#ends.get(subject) ?? 0]));
    const suspects = standing.filter((subject) => (this.#ends.get(subject) ?? 0) < serverNow());
    for (let at = 0; at < suspects.length && !this.#stopping.signal.aborted; at += AT_ONCE) {
      await Promise.all(suspects.slice(at, at + AT_ONCE).map((subject) => this.#look(subject)));
    }
  }

  async #look(subject: string): Promise<void> {
    const { reader, serverNow, store } = this.#options;
    const place = parseSubject(subject);
    if (place?.kind !== 'entity') return;
    const read = await reader.entity(place.entityId, false);
    if (read.kind === 'unavailable') return;
    const { lease } = read.value;
    if (lease !== undefined && isLost(lease, serverNow())) await store.endLostLease(place.entityId);
    // Slot 0 holds what set no lease, and never will.
    else this.#ends.set(subject, lease?.endsAt ?? (place.slot === 0 ? Number.POSITIVE_INFINITY : 0));
  }
}
