import type { Entity } from '../core/entity.ts';

export interface CacheLimits {
  /** Entities kept; default 100,000. */
  entities: number;
  /** Bytes of their messages, as stored; default 64 MiB. In memory an entity takes about three times that. */
  bytes: number;
}

export const DEFAULT_CACHE: CacheLimits = { entities: 100_000, bytes: 64 * 1024 * 1024 };

/** An entity as it was seen. */
export interface KnownEntity {
  entity: Entity;
  /** A moment, as the store counts them, at which the entity was so for certain; 0 = none is known. */
  asOf: number;
}

/** Least recently used entities leave first. Only ever a hint: the server's compare-and-set decides. */
export class EntityCache {
  readonly #limits: CacheLimits;
  /** A Map keeps insertion order; an entity that is used moves to its end. */
  readonly #entities = new Map<string, KnownEntity>();
  #bytes = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get(entityId: string): KnownEntity | undefined {
    const seen = this.#entities.get(entityId);
    if (seen !== undefined) {
      this.#entities.delete(entityId);
      this.#entities.set(entityId, seen);
    }
    return seen;
  }

  set(entityId: string, seen: KnownEntity): void {
    this.delete(entityId);
    this.#entities.set(entityId, seen);
    this.#bytes += seen.entity.bytes;
    for (const oldest of this.#entities.keys()) {
      if (this.#entities.size <= this.#limits.entities && this.#bytes <= this.#limits.bytes) return;
      this.delete(oldest);
    }
  }

  delete(entityId: string): void {
    const seen = this.#entities.get(entityId);
    if (seen === undefined) return;
    this.#entities.delete(entityId);
    this.#bytes -= seen.entity.bytes;
  }

  clear(): void {
    this.#entities.clear();
    this.#bytes = 0;
  }

  get size(): number {
    return this.#entities.size;
  }

  get bytes(): number {
    return this.#bytes;
  }
}
