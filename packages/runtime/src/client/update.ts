import type { AgentContract } from '@meshforge/protocol';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import type { Mesh } from './mesh.ts';
import type { ActionOf, CommandOutcome, DataOf, StateOf } from './types.ts';

/** Decides on what was read. `state` is null and `version` 0 where there is no live entity. */
export type Updater<C extends AgentContract, A extends ActionOf<C>> = (
  state: StateOf<C> | null,
  version: number,
) => { action: A; data: DataOf<C, A> } | undefined;

export interface UpdateOptions {
  /** Tries that may end in a conflict before the update gives up; default 100. */
  maxTries?: number;
  correlationId?: string;
  timeoutMs?: number;
}

/** Longest pause after a conflict, in milliseconds. */
const MAX_PAUSE_MS = 50;

/** Idea: the optimistic loop of software transactional memory, as in etcd's `concurrency.NewSTM`. */
export async function updateEntity<C extends AgentContract, A extends ActionOf<C>>(
  mesh: Pick<Mesh, 'get' | 'request'>,
  clock: Clock,
  contract: C,
  entityId: string,
  decide: Updater<C, A>,
  options: UpdateOptions,
): Promise<CommandOutcome<C, A> | undefined> {
  const { maxTries = 100, ...rest } = options;
  let minVersion: number | undefined;
  for (let tries = 1; tries <= maxTries; tries++) {
    const entity = await mesh.get(contract, entityId, minVersion === undefined ? {} : { minVersion });
    const version = entity?.entity_version ?? 0;
    const command = decide(entity?.state ?? null, version);
    if (command === undefined) return undefined;
    const { action, data } = command;
    const outcome = await mesh.request(contract, action, { entityId, expectedVersion: version, data, ...rest });
    if (outcome.kind !== 'conflict') return outcome;
    // What is read next must not be older than what the conflict has shown.
    const current = (outcome.payload as { current_version: number }).current_version;
    minVersion = current === 0 ? undefined : current;
    await clock.sleep(clock.random() * Math.min(MAX_PAUSE_MS, 2 ** Math.min(tries, 6)));
  }
  throw new MeshError({
    code: 'contended',
    message: `update of ${contract.name} ${JSON.stringify(entityId)} met ${maxTries} conflicts in a row: try again later`,
    details: { entityId, tries: maxTries },
  });
}
