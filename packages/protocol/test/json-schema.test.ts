/**
 * Hunts for messages without a schema, schemas that a strict validator does not take, and types that JSON does not have.
 */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { agentMessages } from '../src/agent-messages.ts';
import { commandJsonSchema, inventoryContract, jsonSchemas, lockContract, type AgentContract } from '../src/index.ts';
import { EXAMPLES } from './protocol-examples.ts';
import { compiled } from './strict-ajv.ts';

const CONTRACTS: [name: string, contract: AgentContract][] = [
  ['inventory', inventoryContract],
  ['sys_lock_manager', lockContract],
];

describe.each(CONTRACTS)('the JSON Schemas of %s', (_, contract) => {
  const schemas = jsonSchemas(contract);
  const examples = EXAMPLES.filter((example) => example.contract === contract);

  it('describe every message once, by subject', () => {
    const { commands: sent, events, queries } = agentMessages(contract);
    const subjects = (messages: { subject: string }[]) => messages.map(({ subject }) => subject);
    expect(Object.keys(schemas.commands)).toEqual(subjects(sent));
    expect(Object.keys(schemas.events)).toEqual(subjects(events));
    expect(Object.keys(schemas.queries)).toEqual(subjects(queries));
    expect(Object.keys(schemas.results)).toEqual(subjects(queries));
  });

  it('compile in strict mode, each with its subject as title', () => {
    const { reply, ...bySubject } = schemas;
    for (const group of Object.values(bySubject)) {
      for (const [subject, schema] of Object.entries(group)) {
        expect(compiled(schema)).toBeTypeOf('function');
        expect(schema).toMatchObject({ title: subject, description: expect.stringMatching(/\.$/) });
      }
    }
    expect(compiled(reply)).toBeTypeOf('function');
  });

  it('accept the examples of the documented wire', () => {
    for (const { kind, subject, body } of examples) {
      const validate = compiled(schemas[kind][subject]);
      expect([subject, validate(body), validate.errors]).toEqual([subject, true, null]);
    }
  });

  it('let a later version add keys to what they receive, and none to what is sent', () => {
    for (const { kind, subject, body } of examples) {
      const validate = compiled(schemas[kind][subject]);
      const open = kind === 'events' || kind === 'results';
      expect([subject, validate({ ...body, later: 1 })]).toEqual([subject, open]);
    }
  });

  it('read as a reply what can be one', () => {
    const validate = compiled(schemas.reply);
    for (const { subject, body } of examples.filter(({ kind }) => kind === 'events')) {
      // Nobody commanded the end of a lease, or that its holder is told.
      const isReply = subject !== 'evt.lock.expired' && subject !== 'evt.lock.lost';
      expect([subject, validate({ event: subject, payload: body })]).toEqual([subject, isReply]);
    }
    expect(validate({ event: 'evt.other.created', payload: {} })).toBe(false);
    expect(validate({ event: 'evt.inventory.created' })).toBe(false);
  });
});

describe('a contract with its own schemas', () => {
  const contractOf = (state: z.ZodType, data: z.ZodType = z.strictObject({})): AgentContract => ({
    name: 'lamp',
    description: 'A lamp.',
    state,
    actions: { blink: { description: 'Blinks.', data, event: 'blinked' } },
  });

  it.each([
    ['a date', z.object({ at: z.date() })],
    ['a bigint', z.object({ at: z.bigint().optional() })],
    ['a map', z.object({ at: z.array(z.map(z.string(), z.string())) })],
    ['undefined', z.object({ at: z.undefined() })],
  ])('is refused with %s, naming the place', (_, schema) => {
    expect(() => jsonSchemas(contractOf(schema))).toThrow(TypeError);
    expect(() => commandJsonSchema(contractOf(z.object({}), schema), 'blink')).toThrow(/data\/properties\/at/);
  });

  it('says that a default may be left out by senders and is there for receivers', () => {
    const schema = z.strictObject({ colour: z.string().default('white') });
    const { commands: sent, events } = jsonSchemas(contractOf(schema, schema));
    expect(sent['cmd.lamp.blink']).toMatchObject({ required: ['entity_id'] });
    expect(events['evt.lamp.blinked']).toMatchObject({
      properties: { state: { anyOf: [{ required: ['colour'] }, { type: 'null' }] } },
    });
  });

  it('describes an event that two actions share as what either adds', () => {
    const contract: AgentContract = {
      ...contractOf(z.object({})),
      actions: {
        dim: { description: '', data: z.object({}), event: 'changed', eventData: z.object({ to: z.int() }) },
        paint: { description: '', data: z.object({}), event: 'changed', eventData: z.object({ colour: z.string() }) },
      },
    };
    const { events } = jsonSchemas(contract);
    const validate = compiled(events['evt.lamp.changed']);
    const payload = { entity_id: 'a', entity_version: 1, state: {} };
    expect(validate({ ...payload, data: { to: 1 } })).toBe(true);
    expect(validate({ ...payload, data: { colour: 'red' } })).toBe(true);
    expect(validate({ ...payload, data: {} })).toBe(false);
  });

  it.each(['constructor', 'toString', 'nope', ''])('has no schema of the action %j', (action) => {
    expect(() => commandJsonSchema(contractOf(z.object({})), action)).toThrow(/expected one of blink/);
  });
});
