import type { AgentContract } from '@meshforge/protocol';
import { within, type Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import { KeyedMutex } from '../store/keyed-mutex.ts';
import type { Mesh } from './mesh.ts';
import type { ActionOf, CommandOutcome, DataOf, LeaseProof, StateOf } from './types.ts';

/** Decides on what was read. `state` is null and `version` 0 where there is no live entity. */
export type Updater<C extends AgentContract, A extends ActionOf<C>> = (
  state: StateOf<C> | null,
  version: number,
) => { action: A; data: DataOf<C, A> } | undefined;

export interface UpdateOptions {
  /** Tries that may end in a conflict before the update gives up; default 100. */
  maxTries?: number;
  /** The lease under which every try is sent. */
  lease?: LeaseProof;
  correlationId?: string;
  timeoutMs?: number;
}

/** An entity at a version; 0 = there is no live one. */
interface Known {
  state: unknown;
  version: number;
}

/** Longest pause after a conflict, in milliseconds: many clients have to spread that far to get in one after the other. */
const MAX_PAUSE_MS = 250;
/** After so long, in milliseconds, an update goes ahead although the one before it has not ended. */
const MAX_TURN_MS = 1_000;

/**
 * The optimistic loop of one client: read, decide, write against the version that was read, again from the start on a
 * conflict. Idea: software transactional memory, as in etcd's `concurrency.NewSTM`.
 *
 * Updates of one entity by one client would only meet each other: they take turns, and each begins with what the one
 * before it has left. That saves conflicts and reads; what keeps updates from being lost is the version alone.
 */
export class Updates {
  readonly #mesh: Pick<Mesh, 'get' | 'request'>;
  readonly #clock: Clock;
  readonly #mutex = new KeyedMutex();
  /** What the last update of an entity has left, while others wait for their turn. */
  readonly #left = new Map<string, Known>();
  readonly #waiting = new Map<string, number>();

  constructor(mesh: Pick<Mesh, 'get' | 'request'>, clock: Clock) {
    this.#mesh = mesh;
    this.#clock = clock;
  }

  async update<C extends AgentContract, A extends ActionOf<C>>(
    contract: C,
    entityId: string,
    decide: Updater<C, A>,
    options: UpdateOptions,
  ): Promise<CommandOutcome<C, A> | undefined> {
    const key = `${contract.name} ${entityId}`;
    const endTurn = await this.#takeTurn(key);
    const known = this.#left.get(key);
    this.#left.delete(key);
    try {
      const { outcome, left } = await this.#run(contract, entityId, decide, options, known);
      if (left !== undefined && this.#waiting.has(key)) this.#left.set(key, left);
      return outcome;
    } finally {
      endTurn();
    }
  }

  async #run<C extends AgentContract, A extends ActionOf<C>>(
    contract: C,
    entityId: string,
    decide: Updater<C, A>,
    { maxTries = 100, ...rest }: UpdateOptions,
    begin: Known | undefined,
  ): Promise<{ outcome: CommandOutcome<C, A> | undefined; left?: Known }> {
    let known = begin;
    for (let tries = 1; tries <= maxTries; tries++) {
      known ??= await this.#read(contract, entityId);
      const { state, version } = known;
      const command = decide(state as StateOf<C> | null, version);
      if (command === undefined) return { outcome: undefined, left: known };
      const { action, data } = command;
      const outcome = await this.#mesh.request(contract, action, { entityId, expectedVersion: version, data, ...rest });
      if (outcome.kind === 'committed') return { outcome, left: leftBy(outcome.payload) };
      if (outcome.kind !== 'conflict') return { outcome };
      await this.#clock.sleep(this.#clock.random() * Math.min(MAX_PAUSE_MS, 2 ** Math.min(tries, 8)));
      // What is read next must not be older than what the conflict has shown.
      known = await this.#read(contract, entityId, (outcome.payload as { current_version: number }).current_version);
    }
    throw new MeshError({
      code: 'contended',
      message: `update of ${contract.name} ${JSON.stringify(entityId)} met ${maxTries} conflicts in a row: try again later`,
      details: { entityId, tries: maxTries },
    });
  }

  async #read(contract: AgentContract, entityId: string, atLeast = 0): Promise<Known> {
    const entity = await this.#mesh.get(contract, entityId, atLeast === 0 ? {} : { minVersion: atLeast });
    return { state: entity?.state ?? null, version: entity?.entity_version ?? 0 };
  }

  /** Resolves when it is one's turn, or when that takes too long; with what ends it. */
  async #takeTurn(key: string): Promise<() => void> {
    this.#waiting.set(key, (this.#waiting.get(key) ?? 0) + 1);
    let endTurn = (): void => {};
    const ended = new Promise<void>((resolve) => (endTurn = resolve));
    const turn = new Promise<void>((resolve) => {
      void this.#mutex.run(key, () => {
        resolve();
        return ended;
      });
    });
    await within(this.#clock, MAX_TURN_MS, turn);
    const others = (this.#waiting.get(key) ?? 1) - 1;
    if (others === 0) this.#waiting.delete(key);
    else this.#waiting.set(key, others);
    return endTurn;
  }
}

function leftBy({ state, entity_version }: { state: unknown; entity_version: number }): Known {
  return { state, version: state === null ? 0 : entity_version };
}
