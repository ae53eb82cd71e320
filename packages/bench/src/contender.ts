/**
 * What takes part in the benchmark. A contender is one small file under `contenders/<load>/`: its `start` runs in the
 * process that conducts the benchmark and brings up servers and services as processes of their own; its `connect` runs in
 * a client process, which does the work that the load asks for.
 */
import type { OnProgress } from '@meshforge/processes';

/** What an acknowledged write survives. */
export type Durability =
  /** Power failure: it was synced to disk before the acknowledgement. */
  | 'fsync'
  /** The death of the process, not of the machine: it was written to a file, and synced later. */
  | 'written'
  /** Nothing, or what was synced a second ago. */
  | 'memory';

export interface Contender<Client> {
  /** Unique within its load; for files and `--only`: `meshforge-fsync`. */
  readonly id: string;
  /** For people: `MeshForge, fsync`. */
  readonly name: string;
  /** In one line: what does the work, with which setting. */
  readonly about: string;
  readonly durability: Durability;
  /** Takes too long for the short run. */
  readonly onlyFull?: boolean;
  /** Brings up servers and services. A reason to leave it out (no such package, no such platform) is an error thrown. */
  start(host: Host): Promise<Service>;
  connect(address: Address): Promise<Client>;
}

/** What a client process needs to know; it crosses a process boundary. */
export type Address = Readonly<Record<string, string | number>>;

/** The conducting process, as contenders see it. */
export interface Host {
  /** One server for all contenders of a run that ask under the same key; the host stops it. */
  shared<S extends { stop(): Promise<unknown> }>(key: string, start: () => Promise<S>): Promise<S>;
  readonly onProgress: OnProgress;
}

/** The running servers and services of a contender. */
export interface Service {
  readonly address: Address;
  /** Of all that takes part: `{ 'nats-server': '2.15.1' }`. */
  readonly versions: Readonly<Record<string, string>>;
  /** Of its servers and services, whose processor time and memory are counted with their children. */
  pids(): readonly number[];
  /** More about it, asked when all is measured: what, with its unit, and how much. */
  inspect?(): Promise<Readonly<Record<string, number>>>;
  /** Of what `shared` does not stop. */
  stop(): Promise<void>;
}

/** *Versioned update*: a write that goes through only against the version it names. */
export interface UpdateClient {
  /** Makes the entities exist, each with a small state, and answers their versions in the same order. */
  create(entities: readonly string[]): Promise<number[]>;
  /** Changes one entity that is at `version`; answers the new version. Throws when it was not at that version. */
  update(entity: string, version: number): Promise<number>;
  close(): Promise<void>;
}

/** *Growth*: updates of any of however many entities the contender has. */
export interface GrowthClient {
  /** Makes the entities exist. */
  create(): Promise<void>;
  /** Changes one of them that no other worker changes meanwhile. */
  update(worker: number, concurrency: number): Promise<void>;
  close(): Promise<void>;
}

/** *Lock and unlock* of a resource. */
export interface LockClient {
  /** Takes the lock, which is free, for 30 s as far as that applies; answers how to unlock it. Throws when it is not free. */
  lock(resource: string): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** *Lock and unlock under contention*: many clients that want the same lock. */
export interface ContendedLockClient {
  /** One more client, over a connection of its own. */
  waiter(): Promise<Waiter>;
  /** That the server has taken in or sent out so far. */
  messages(): Promise<number>;
  close(): Promise<void>;
}

export interface Waiter {
  /** Takes the lock, for 30 s as far as that applies, and waits for it as long as it takes; answers how to unlock it. */
  lock(resource: string): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** *Contention*: many read-modify-writes of the same entity. */
export interface ContentionClient {
  create(entity: string): Promise<void>;
  /** Reads a counter, adds one, writes it against the version that was read, from the start until it has gone through. */
  increment(entity: string): Promise<void>;
  /** What the counter says in the end. */
  value(entity: string): Promise<number>;
  close(): Promise<void>;
}

/** *Durable commands*: work that is stored first and executed later, each job adding one to its entity. */
export interface DurableClient {
  /** Makes the entities exist, each with a counter at zero. */
  create(entities: readonly string[]): Promise<void>;
  /** Stores one job; resolves when that is acknowledged. Answers how to wait until it is executed. */
  send(entity: string): Promise<() => Promise<void>>;
  /** How many jobs are stored and not executed yet. */
  pending(): Promise<number>;
  /** What the counters say, in the same order; one number where only their sum is known. */
  counters(entities: readonly string[]): Promise<readonly number[] | number>;
  /** That the server has taken in or sent out so far, where it can be told. */
  messages?(): Promise<number>;
  close(): Promise<void>;
}
