/**
 * Clients at work, and a ledger of all that they sent and were told. While they work, a test kills what it likes; then
 * the ledger is held against the stream.
 *
 * What the clients send is refused only for reasons that stay true (an id that exists, an order that never was, a version
 * that has passed). So a refusal in the ledger is true of every copy of the command that a retry made, however late.
 */
import { isDeepStrictEqual } from 'node:util';
import { inventoryContract, type InventoryState, type JsonObject } from '@meshforge/protocol';
import { connectMesh, type Mesh } from '@meshforge/runtime';
import { scenario } from '@meshforge/runtime/testing';
import { expect } from 'vitest';
import {
  byEntity,
  expectEachOnce,
  expectGapless,
  type Commit,
} from '../../../../packages/runtime/test/support/stream-witness.ts';
import { until } from '../../../../packages/runtime/test/support/until.ts';
import { inventory } from '../../src/index.ts';
import { untyped } from './untyped.ts';

type ActionName = keyof typeof inventoryContract.actions;

interface Sent {
  commandId: string;
  entityId: string;
  action: ActionName;
  data: JsonObject;
  expectedVersion?: number;
}

interface Told {
  kind: string;
  event: string;
  payload: Readonly<Record<string, unknown>>;
}

const CLIENTS = 12;
const ITEMS = 12;
/** No item ever has so much. */
const TOO_MUCH = 1_000_000_000_000;

export class Load {
  readonly sent = new Map<string, Sent>();
  readonly told = new Map<string, Told>();
  /** Commands that got no definite answer. */
  readonly faults: string[] = [];
  readonly #clients: Mesh[];
  readonly #work: Promise<unknown>;
  /** The highest version of each item that any client was told. */
  readonly #versions = new Map<string, number>();
  #over = false;

  private constructor(clients: Mesh[]) {
    this.#clients = clients;
    this.#work = Promise.all(clients.map((client, index) => this.#run(client, index)));
    // Looked at when the load is finished.
    this.#work.catch(() => {});
  }

  /**
   * Sets the clients to work.
   * @param servers URLs, separated by commas
   * @param tryTimeoutMs how long a client waits for an answer that was lost with whoever owed it
   */
  static async start(servers: string, tryTimeoutMs = 1_000): Promise<Load> {
    const options = { servers, timeoutMs: 300_000, tryTimeoutMs };
    return new Load(await Promise.all(Array.from({ length: CLIENTS }, () => connectMesh(options))));
  }

  get answers(): number {
    return this.told.size;
  }

  /** Waits until so many more commands are answered. */
  async progress(answers: number): Promise<void> {
    const enough = this.answers + answers;
    await until(`${answers} more commands are answered`, () => this.answers >= enough, 120_000);
  }

  /** Lets every client finish its command, and disconnects them. */
  async stop(): Promise<void> {
    this.#over = true;
    await this.#work;
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  async #run(client: Mesh, index: number): Promise<void> {
    /** Reservations that this client holds. */
    const held: { entityId: string; order: string }[] = [];
    for (let turn = 0; !this.#over; turn++) {
      const commandId = `client-${index}-${turn}`;
      const entityId = `item-${Math.floor(Math.random() * ITEMS)}`;
      const command = this.#next(turn, commandId, entityId, held);
      const told = await this.#send(client, { ...command, commandId });
      if (told?.kind !== 'committed' && told?.kind !== 'replayed') continue;
      const { action, data } = command;
      if (action === 'reserve') held.push({ entityId: command.entityId, order: data['order_id'] as string });
    }
  }

  /** The mixture: mostly changes, now and then one that must be refused. */
  #next(
    turn: number,
    commandId: string,
    entityId: string,
    held: { entityId: string; order: string }[],
  ): Omit<Sent, 'commandId'> {
    const version = this.#versions.get(entityId);
    if (version === undefined) return { entityId, action: 'create', data: { name: 'bolt', quantity: 1_000_000 } };
    switch (turn % 8) {
      case 0:
      case 1:
        return { entityId, action: 'adjust', data: { delta: 1 + (turn % 5) } };
      case 2:
      case 3:
        return { entityId, action: 'adjust', data: { delta: -1 - (turn % 5) }, expectedVersion: version };
      case 4:
        return { entityId, action: 'reserve', data: { order_id: commandId, quantity: 1 + (turn % 3) } };
      case 5: {
        const mine = held.shift();
        if (mine === undefined) return { entityId, action: 'update', data: { name: commandId } };
        const action = turn % 16 === 5 ? 'release' : 'fulfil';
        return { entityId: mine.entityId, action, data: { order_id: mine.order } };
      }
      case 6:
        return { entityId, action: 'update', data: { name: commandId }, expectedVersion: version };
      default:
        return refusedForGood(turn, entityId);
    }
  }

  async #send(client: Mesh, command: Sent): Promise<Told | undefined> {
    const { commandId, entityId, action, data, expectedVersion } = command;
    this.sent.set(commandId, command);
    try {
      const outcome = await client.request(inventoryContract, action, {
        commandId,
        entityId,
        data: untyped(data),
        ...(expectedVersion === undefined ? {} : { expectedVersion }),
      });
      const told: Told = { ...outcome, payload: { ...outcome.payload } };
      this.told.set(commandId, told);
      const version = (told.payload['entity_version'] ?? told.payload['current_version'] ?? 1) as number;
      this.#versions.set(entityId, Math.max(version, this.#versions.get(entityId) ?? 0));
      return told;
    } catch (error) {
      this.faults.push(`${commandId}: ${(error as Error).message}`);
      return undefined;
    }
  }
}

function refusedForGood(turn: number, entityId: string): Omit<Sent, 'commandId'> {
  if (turn % 24 === 7) return { entityId, action: 'create', data: { name: 'nut' } };
  if (turn % 24 === 15) return { entityId, action: 'release', data: { order_id: 'nobody' } };
  return { entityId, action: 'reserve', data: { order_id: 'greedy', quantity: TOO_MUCH } };
}

/** I1, I2, I5: what the clients were told is what the stream says, and each state follows from the one before. */
export function expectTrue(load: Load, commits: readonly Commit[]): void {
  expect(load.faults).toEqual([]);
  expectGapless(commits);
  expectEachOnce(commits);
  expect(untrueAnswers(load, commits)).toEqual([]);
  expect(commits.filter(({ commandId }) => !load.sent.has(commandId))).toEqual([]);
  for (const own of byEntity(commits).values()) expectStatesFollow(load, own);
}

/** I2: acknowledged commands that are not in the stream as they were answered, and refused ones that are. */
function untrueAnswers({ told }: Load, commits: readonly Commit[]): string[] {
  const stored = new Map(commits.map((commit) => [commit.commandId, commit]));
  const untrue: string[] = [];
  for (const [commandId, { kind, event, payload }] of told) {
    const commit = stored.get(commandId);
    if (kind !== 'committed' && kind !== 'replayed') {
      if (commit !== undefined) untrue.push(`${commandId} was answered ${kind}, yet it is version ${commit.version}`);
      continue;
    }
    const { entityId, version, state, data } = commit ?? {};
    const told_ = [event, payload['entity_id'], payload['entity_version'], payload['state'], payload['data']];
    if (!isDeepStrictEqual(told_, [`evt.inventory.${commit?.event}`, entityId, version, state, data])) {
      untrue.push(`${commandId} was answered ${JSON.stringify(told_)}, but the log has ${JSON.stringify(commit)}`);
    }
  }
  return untrue;
}

/** I1: each state is what the rules make of the state before and the command. */
function expectStatesFollow({ sent }: Load, commits: readonly Commit[]): void {
  let before: InventoryState | undefined;
  for (const { commandId, event, version, state, data } of commits) {
    const { action, data: commandData } = sent.get(commandId) as Sent;
    const rules = scenario(inventory);
    if (before !== undefined) rules.given(before, version - 1);
    rules
      .when(action, untyped(commandData))
      .thenCommits({ event, version, state: state as InventoryState, ...(data && { data }) });
    before = state as InventoryState;
  }
}
