import { entityEventFilter, parseSubject } from '@meshforge/protocol';
import type { Clock } from '../clock.ts';
import type { AnyAgent } from '../core/agent.ts';
import type { EntityReader } from '../nats/entity-reader.ts';
import type { ListSubjects } from './entity-list.ts';
import type { EntityStore } from './entity-store.ts';

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
  lostBefore: () => number;
  onFault: (error: unknown) => void;
}

/**
 * The safety net under the server's schedules: finds leases whose end the server should have committed 10 s ago and did not,
 * and has the store commit it. A lease is read once, and again only when it would have ended.
 */
export class LeaseSweep {
  readonly #options: LeaseSweepOptions;
  readonly #stopping = new AbortController();
  /** When the lease of an entity ends, as it was last seen. */
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

  async sweep(): Promise<void> {
    const { serverNow } = this.#options;
    const standing = await this.#standing();
    this.#ends = new Map([...this.#ends].filter(([entityId]) => standing.has(entityId)));
    const suspects = [...standing].filter((entityId) => (this.#ends.get(entityId) ?? 0) < serverNow());
    for (let at = 0; at < suspects.length && !this.#stopping.signal.aborted; at += AT_ONCE) {
      await Promise.all(suspects.slice(at, at + AT_ONCE).map((entityId) => this.#look(entityId)));
    }
  }

  /** Entities with a message that may be a lease: the server takes it out when the lease ends. */
  async #standing(): Promise<Set<string>> {
    const { agent, subjects } = this.#options;
    const standing = new Set<string>();
    for (const event of agent.lease?.events ?? []) {
      for (const subject of Object.keys(await subjects(entityEventFilter(agent.name, event)))) {
        const parsed = parseSubject(subject);
        if (parsed?.kind === 'entity') standing.add(parsed.entityId);
      }
    }
    return standing;
  }

  async #look(entityId: string): Promise<void> {
    const { lostBefore, reader, store } = this.#options;
    const read = await reader.entity(entityId, false);
    if (read.kind === 'unavailable') return;
    const { lease } = read.value;
    if (lease === undefined) this.#ends.delete(entityId);
    else if (lease.endsAt < lostBefore()) await store.endLostLease(entityId);
    else this.#ends.set(entityId, lease.endsAt);
  }
}
