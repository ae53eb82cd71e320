/**
 * Hunts for messages that JSON Schema and zod judge differently. What JSON Schema cannot say, and zod still refuses, is
 * listed at the end.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  check,
  commandJsonSchema,
  commandSchema,
  commandsOf,
  inventoryContract,
  InventoryState,
  jsonSchemas,
  lockContract,
  type AgentContract,
} from '../src/index.ts';
import { anyJson } from './arbitraries.ts';
import { compiled } from './strict-ajv.ts';

const CONTRACTS: [name: string, contract: AgentContract][] = [
  ['inventory', inventoryContract],
  ['sys_lock_manager', lockContract],
];
const ACTIONS = CONTRACTS.flatMap(([name, contract]) =>
  commandsOf(contract.actions).map(([action, { data }]) => ({ name, contract, action, data })),
);

/** Values at the edges of the rules, and any other. */
const texts = fc.constantFrom<unknown>('a', 'o-1', '', '__proto__', 'é'.repeat(256), '😀'.repeat(257));
const numbers = fc.oneof(
  fc.constantFrom<unknown>(-1, 0, 1, 1.5, 3, 499, 500, 600_000, 600_001, 86_400_000, 86_400_001),
  fc.constantFrom<unknown>(1e12, 1e12 + 1, -1e12, -1e12 - 1, 2 ** 53 - 1, 2 ** 53, 1e300),
);
/** Most actions take it. */
const likelyNumbers = fc.oneof({ weight: 2, arbitrary: fc.constant(500) }, { weight: 1, arbitrary: numbers });
const values = fc.oneof(
  { weight: 4, arbitrary: texts },
  { weight: 4, arbitrary: numbers },
  { weight: 2, arbitrary: fc.constantFrom<unknown>(null, true, '3', [], {}) },
  { weight: 1, arbitrary: fc.oneof(fc.integer(), fc.string({ unit: 'binary' }), anyJson) },
);
const dataKeys = ['name', 'quantity', 'delta', 'order_id', 'owner_id', 'ttl_ms', 'wait_ms', 'fencing_token', 'extra'];
const leases = fc.record({ resource: values, fencing_token: values, owner_id: values }, { requiredKeys: [] });
const commands = fc
  .record(
    {
      entity_id: fc.oneof({ weight: 5, arbitrary: fc.constant<unknown>('sku-1') }, values),
      expected_version: values,
      lease: fc.oneof({ weight: 5, arbitrary: leases }, values),
      data: fc.oneof(
        {
          weight: 5,
          arbitrary: fc.record(Object.fromEntries(dataKeys.map((key) => [key, values])), { requiredKeys: [] }),
        },
        values,
      ),
      expectedVersion: fc.constant(1),
    },
    { requiredKeys: [] },
  )
  .map((command) => JSON.parse(JSON.stringify(command)) as unknown);

describe.each(ACTIONS)('the JSON Schema of $name $action', ({ contract, action, data }) => {
  const zod = commandSchema(data);
  const validate = compiled(commandJsonSchema(contract, action));

  /** Commands that have a fair chance: the keys of the action, with values of their types. */
  const { properties = {}, required = [] } = z.toJSONSchema(data, { io: 'input' });
  const likelyData = Object.entries(properties).map(([key, schema]) => {
    return [key, typeof schema === 'object' && schema.type === 'string' ? texts : likelyNumbers] as const;
  });
  const likely = fc.record(
    {
      entity_id: fc.constantFrom('a', 'sku-1', '😀'.repeat(256)),
      expected_version: fc.constantFrom(0, 1, 2 ** 53 - 1),
      lease: fc.oneof(
        { weight: 4, arbitrary: fc.constant({ resource: 'a', fencing_token: 7 }) },
        { weight: 1, arbitrary: fc.record({ resource: texts, fencing_token: numbers }) },
      ),
      data: fc.record(Object.fromEntries(likelyData), { requiredKeys: required }),
    },
    { requiredKeys: ['entity_id', 'data'] },
  );

  it('accepts and refuses what zod does', () => {
    const seen = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(fc.oneof(commands, likely), (command) => {
        const accepted = check(zod, command).ok;
        seen[accepted ? 'accepted' : 'refused']++;
        expect([validate(command), command]).toEqual([accepted, command]);
      }),
      { numRuns: 1_500 },
    );
    // A test that only ever sees one side proves nothing.
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(20);
  });

  it('is an object of the dialect it names', () => {
    const schema = commandJsonSchema(contract, action);
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      additionalProperties: false,
      properties: { entity_id: { type: 'string', minLength: 1, maxLength: 256 }, data: { type: 'object' } },
    });
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });
});

describe('what JSON Schema cannot say', () => {
  it('is refused by zod alone', () => {
    const validate = compiled(commandJsonSchema(inventoryContract, 'create'));
    const halfEmoji = { entity_id: '\ud83d', data: { name: 'Bolt' } };
    expect([validate(halfEmoji), check(commandSchema(inventoryContract.actions.create.data), halfEmoji).ok]).toEqual([
      true,
      false,
    ]);
    const state = { name: 'Bolt', quantity: 1, reserved: 2, reservations: { 'o-1': 2 } };
    const created = compiled(jsonSchemas(inventoryContract).events['evt.inventory.created']);
    const payload = { entity_id: 'a', entity_version: 1, state };
    expect([created(payload), check(InventoryState, state).ok]).toEqual([true, false]);
  });
});
