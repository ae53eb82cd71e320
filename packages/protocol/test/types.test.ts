/**
 * Hunts for mistakes that the compiler no longer catches. The checks are made by the compiler: every line marked below
 * must not compile, and an expectation that is not met is an error of its own.
 */
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import {
  check,
  commandJsonSchema,
  decode,
  defineContract,
  GetQuery,
  inventoryContract,
  lockContract,
  querySubject,
  type AgentContract,
  type CommandBody,
  type Decoded,
  type InventoryState,
  type LockState,
  type Outcome,
  type SuccessPayload,
} from '../src/index.ts';

describe('the types of', () => {
  it('a command know its keys', () => {
    const entity_id = 'a';
    const command = { entity_id, expected_version: 3, data: { delta: 1 } } satisfies CommandBody;
    expectTypeOf(command).toExtend<CommandBody>();
    // @ts-expect-error a typo would switch the concurrency guard off
    const typo: CommandBody = { entity_id, expectedVersion: 3 };
    // @ts-expect-error removed in 0.14
    const old: CommandBody = { entity_id, agent_version: 3 };
    // @ts-expect-error a version is a number
    const text: CommandBody = { entity_id, expected_version: '3' };
    // @ts-expect-error data is an object
    const list: CommandBody = { entity_id, data: [1] };
    // @ts-expect-error every command is for an entity
    const nobody: CommandBody = {};
    // @ts-expect-error a lease says which resource
    const vague: CommandBody = { entity_id, lease: { fencing_token: 3 } };
    // @ts-expect-error on the wire it is fencing_token
    const misspelt: CommandBody = { entity_id, lease: { resource: 'b', fencingToken: 3 } };
    expectTypeOf([typo, old, text, list, nobody, vague, misspelt]).toEqualTypeOf<CommandBody[]>();
  });

  it('a decoded message are known only once it is accepted', () => {
    const decoded = decode(GetQuery, new Uint8Array());
    expectTypeOf(decoded).toEqualTypeOf<Decoded<GetQuery>>();
    // @ts-expect-error it may have been refused
    expectTypeOf(decoded.value).toBeNever();
    if (decoded.ok) expectTypeOf(decoded.value.entity_id).toEqualTypeOf<string>();
    else expectTypeOf(decoded.code).toEqualTypeOf<'invalid_command' | 'too_large'>();
  });

  it('an outcome follow its kind', () => {
    type Of<Kind extends Outcome['kind']> = Extract<Outcome<LockState>, { kind: Kind }>['payload'];
    expectTypeOf<Of<'committed'>>().toEqualTypeOf<SuccessPayload<LockState>>();
    expectTypeOf<Of<'committed'>['state']>().toEqualTypeOf<LockState | null>();
    expectTypeOf<Of<'conflict'>['current_version']>().toEqualTypeOf<number>();
    expectTypeOf<Of<'rejected'>['entity_id']>().toEqualTypeOf<string | null>();
    expectTypeOf<Of<'conflict'>>().not.toHaveProperty('state');
  });

  it('a contract keep its actions and their data', () => {
    const acquire = check(lockContract.actions.acquire.data, {});
    if (acquire.ok) expectTypeOf(acquire.value.ttl_ms).toEqualTypeOf<number>();
    expectTypeOf(lockContract.actions).toHaveProperty('refresh');
    expectTypeOf(lockContract.name).toEqualTypeOf<'sys_lock_manager'>();
    // @ts-expect-error there is no such action
    expectTypeOf(inventoryContract.actions.steal).toBeAny();
    expectTypeOf<InventoryState['reservations']>().toEqualTypeOf<Record<string, number>>();
    expectTypeOf(inventoryContract).toExtend<AgentContract>();
  });

  it('a contract ask for what its messages need', () => {
    const data = z.strictObject({});
    const lamp = { name: 'lamp', description: '', state: z.object({}) };
    const blink = { description: '', data, event: 'blinked' };
    // @ts-expect-error an action has an event
    const silent: AgentContract = { ...lamp, actions: { blink: { description: '', data } } };
    // @ts-expect-error its data has a schema
    const lax: AgentContract = { ...lamp, actions: { blink: { ...blink, data: {} } } };
    // @ts-expect-error its state has a schema
    const shapeless: AgentContract = { ...lamp, state: undefined, actions: { blink } };
    expectTypeOf([silent, lax, shapeless]).toEqualTypeOf<AgentContract[]>();
    expectTypeOf(defineContract<AgentContract>).returns.toEqualTypeOf<AgentContract>();
  });

  it('a query know the kinds of queries', () => {
    expectTypeOf(querySubject).parameter(1).toEqualTypeOf<'get' | 'history' | 'list' | 'outcome'>();
    expectTypeOf(commandJsonSchema).returns.toEqualTypeOf<{ [key: string]: unknown }>();
  });
});
