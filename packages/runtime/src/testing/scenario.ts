import { deepStrictEqual, fail } from 'node:assert/strict';
import { check, type JsonObject } from '@meshforge/protocol';
import type { z } from 'zod';
import type { LeaseProof } from '../client/types.ts';
import type { Agent, AnyAgent } from '../core/agent.ts';
import { decide, type CommitPlan, type Plan } from '../core/decide.ts';
import { endLease, entityAfter, NO_ENTITY, type Entity } from '../core/entity.ts';

interface When {
  expectedVersion?: number;
  /** The lease under which it is sent; what the entity has seen of its resource stays from step to step. */
  lease?: LeaseProof;
  /** The same id again is a retry. Default: a new one. */
  commandId?: string;
}

interface Expected<State> {
  event: string;
  state: State | null;
  version?: number;
  data?: JsonObject;
  /** Milliseconds since the epoch; only for commits that grant a lease. */
  expiresAt?: number;
}

const NOON = Date.parse('2000-01-01T12:00:00.000Z');

/**
 * An agent's rules, given/when/then, without a server: the same decision that a running agent makes, on one entity.
 *
 * ```ts
 * scenario(inventory)
 *   .when('create', { name: 'bolt', quantity: 5 })
 *   .thenCommits({ event: 'created', state: { name: 'bolt', quantity: 5, reserved: 0, reservations: {} } })
 *   .when('adjust', { delta: -6 })
 *   .thenRefuses('insufficient_stock');
 * ```
 *
 * A commit is what the next step is decided on. Time stands still unless the scenario moves it.
 */
export function scenario<State, Data extends Record<string, z.ZodType>>(
  agent: Agent<State, Data>,
): Scenario<State, Data> {
  return new Scenario(agent);
}

export class Scenario<State, Data extends Record<string, z.ZodType>> {
  readonly #agent: Agent<State, Data>;
  #entity: Entity = NO_ENTITY;
  #now = NOON;
  #commands = 0;
  #last: Plan | { kind: 'malformed'; reason: string } | undefined;

  constructor(agent: Agent<State, Data>) {
    this.#agent = agent;
  }

  /** Begins with a live entity. @param version default 1 */
  given(state: State, version = 1): this {
    this.#entity = { ...NO_ENTITY, sequence: version, version, state: structuredClone(state) as JsonObject };
    return this;
  }

  /** Sets the server's time, milliseconds since the epoch. Default: noon of 2000-01-01, UTC. */
  at(now: number): this {
    this.#now = now;
    return this;
  }

  /** Lets so many milliseconds pass; leases do not end by that alone, see {@link expires}. */
  after(ms: number): this {
    this.#now += ms;
    return this;
  }

  /** The server commits the end of the lease that stands. */
  expires(): this {
    const { lease } = this.#agent;
    const { state } = this.#entity;
    if (lease === undefined || this.#entity.lease === undefined || state === null) fail('no lease stands');
    this.#entity = endLease(this.#agent as AnyAgent, this.#entity);
    return this;
  }

  when<Name extends keyof Data & string>(action: Name, data: z.input<Data[Name]>, options: When = {}): this {
    const definition = this.#agent.actions[action] as { data: z.ZodType } | undefined;
    if (definition === undefined) fail(`agent ${this.#agent.name} has no action ${action}`);
    // Rules get frozen data, and what the scenario gives stays its own.
    const checked = check(definition.data, structuredClone(data), 'data');
    const commandId = options.commandId ?? `command-${++this.#commands}`;
    this.#last = checked.ok
      ? decide(
          this.#agent,
          this.#entity,
          {
            entityId: 'entity',
            action,
            expectedVersion: options.expectedVersion,
            lease: options.lease,
            data: checked.value as JsonObject,
            commandId,
            digest: commandId,
            bodyDigest: '',
            headers: [],
          },
          this.#now,
        )
      : { kind: 'malformed', reason: checked.reason };
    if (this.#last.kind === 'commit') this.#apply(this.#last, commandId);
    return this;
  }

  thenCommits(expected: Expected<State>): this {
    const plan = this.#outcome('commit');
    const { event, state, data, expiresAt, version } = plan;
    deepStrictEqual(
      { event, state, version, data, expiresAt },
      { version: plan.version, data: undefined, expiresAt: undefined, ...expected },
    );
    return this;
  }

  /** The agent's own rule, or the absence or presence of the entity, refuses it. */
  thenRefuses(code: string, details: JsonObject = {}): this {
    const last = this.#last;
    if (last?.kind !== 'rejected' && last?.kind !== 'denied') return this.#unexpected('a refusal');
    const payload = last.payload as JsonObject;
    const shown = Object.fromEntries(Object.keys(details).map((key) => [key, payload[key]]));
    deepStrictEqual({ code: payload['code'], ...shown }, { code, ...details });
    return this;
  }

  thenConflicts(currentVersion: number): this {
    deepStrictEqual(this.#outcome('conflict').payload.current_version, currentVersion);
    return this;
  }

  /** The data is not what the action's schema asks for. */
  thenIsMalformed(): this {
    this.#outcome('malformed');
    return this;
  }

  /** It was decided before, as the commit of this version. */
  thenReplays(version: number): this {
    deepStrictEqual(this.#outcome('replay').earlier.version, version);
    return this;
  }

  /** The entity's state now. */
  get state(): State | null {
    return this.#entity.state as State | null;
  }

  get version(): number {
    return this.#entity.version;
  }

  #outcome<Kind extends Plan['kind'] | 'malformed'>(
    kind: Kind,
  ): Extract<Plan | { kind: 'malformed'; reason: string }, { kind: Kind }> {
    if (this.#last?.kind !== kind) return this.#unexpected(kind);
    return this.#last as Extract<Plan | { kind: 'malformed'; reason: string }, { kind: Kind }>;
  }

  #unexpected(expected: string): never {
    if (this.#last?.kind === 'defect' && this.#last.cause instanceof Error) throw this.#last.cause;
    return fail(`expected ${expected}, got ${JSON.stringify(this.#last)}`);
  }

  #apply({ event, version, state, data, expiresAt, isUnchanged, notes, fences }: CommitPlan, digest: string): void {
    const own = expiresAt === undefined ? undefined : { endsAt: expiresAt, event, version };
    const { lease, mark, recent: earlier, sequence } = this.#entity;
    this.#entity = entityAfter(
      this.#agent as AnyAgent,
      {
        kind: isUnchanged ? 'unchanged' : 'commit',
        event,
        version,
        state,
        data,
        earlier,
        command: { digest, body: '' },
        lease: isUnchanged ? lease : own,
        notes,
        fences,
        mark,
        bytes: 0,
      },
      sequence + 1,
    );
  }
}
