import { setTimeout as delay } from 'node:timers/promises';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/nats-core';
import { AgentClient } from './agent-client.ts';
import { Interrupted } from './cannot-run.ts';
import { releaseResource, removeItem } from './clean-up.ts';
import type { OpenConnection } from './connect.ts';
import { describeError } from './describe-error.ts';
import type { EventWatch } from './event-watch.ts';
import type { OnLine } from './traffic.ts';

export interface MeshAccess {
  readonly connection: NatsConnection;
  readonly open: OpenConnection;
  readonly events: EventWatch;
  /** Begins every id that the run makes up. */
  readonly run: string;
  readonly patienceMs: number;
  readonly inboxPrefix: string;
  readonly signal: AbortSignal;
  readonly onLine: OnLine;
}

let idsMade = 0;

/** What one check may use. All that it makes is cleaned up after it, however it ends. */
export class CheckContext {
  readonly inventory: AgentClient;
  readonly lock: AgentClient;
  readonly #access: MeshAccess;
  readonly #items: string[] = [];
  readonly #resources: string[] = [];
  readonly #connections: NatsConnection[] = [];
  readonly #cleanings: [what: string, clean: () => unknown][] = [];

  constructor(access: MeshAccess) {
    this.#access = access;
    const { connection, patienceMs, onLine } = access;
    const options = { connection, patienceMs, onLine, newCommandId: () => this.newId('command') };
    this.inventory = new AgentClient(inventoryContract, options);
    this.lock = new AgentClient(lockContract, options);
  }

  get connection(): NatsConnection {
    return this.#access.connection;
  }

  get events(): EventWatch {
    return this.#access.events;
  }

  get patienceMs(): number {
    return this.#access.patienceMs;
  }

  get inboxPrefix(): string {
    return this.#access.inboxPrefix;
  }

  get onLine(): OnLine {
    return this.#access.onLine;
  }

  /** An id that no other run and no other check has. */
  newId(label: string): string {
    return `${this.#access.run}-${++idsMade}-${label}`;
  }

  /** An inventory item that does not exist yet. The label may hold any characters. */
  newItem(label = 'item'): string {
    return this.adoptItem(this.newId(label));
  }

  /** Takes an item of this id under care; for ids that must share a beginning. */
  adoptItem(id: string): string {
    this.#items.push(id);
    return id;
  }

  /** A lock that nobody holds yet. */
  newResource(label = 'lock'): string {
    const id = this.newId(label);
    this.#resources.push(id);
    return id;
  }

  /** One more client: a connection of its own. */
  async connect(): Promise<NatsConnection> {
    const connection = await this.#access.open();
    this.#connections.push(connection);
    return connection;
  }

  /** Does this after the check, however it ends, before entities are removed; the latest first. */
  whenDone(what: string, clean: () => unknown): void {
    this.#cleanings.unshift([what, clean]);
  }

  async sleep(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#access.signal }).catch(() => {
      throw new Interrupted();
    });
  }

  /** Deletes and releases what the check made. Answers what it could not, with the reason. */
  async cleanUp(): Promise<string[]> {
    const leftovers: string[] = [];
    const attempt = async (id: string, cleaning: Promise<unknown>): Promise<void> => {
      await cleaning.catch((error: unknown) => leftovers.push(`${id}: ${describeError(error)}`));
    };
    for (const [what, clean] of this.#cleanings) await attempt(what, (async () => await clean())());
    for (const id of this.#items) await attempt(id, removeItem(this.inventory, id));
    for (const id of this.#resources) await attempt(id, releaseResource(this.lock, id));
    await Promise.all(this.#connections.map((connection) => connection.close()));
    return leftovers;
  }
}
