/** Hunts for contracts whose messages could not be told apart, or that no subject can carry. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  assertEventName,
  asyncApiDocument,
  commandJsonSchema,
  commandsOf,
  defineContract,
  inventoryContract,
  jsonSchemas,
  lockContract,
  SIGNAL_EVENTS,
  type AgentContract,
} from '../src/index.ts';

const none = z.strictObject({});
const lamp: AgentContract = {
  name: 'lamp',
  description: 'A lamp.',
  state: z.strictObject({ on: z.boolean() }),
  actions: { switch_on: { description: 'Switches it on.', data: none, event: 'switched_on' } },
};

function withEvent(event: string): AgentContract {
  return { ...lamp, actions: { switch_on: { description: '', data: none, event } } };
}

describe('a contract', () => {
  it('is given back as it is', () => {
    expect(defineContract(lamp)).toBe(lamp);
  });

  it.each([
    ['an agent name that is none', { ...lamp, name: 'Lamp' }, /"Lamp" is no name for an agent/],
    ['an empty agent name', { ...lamp, name: '' }, /"" is no name for an agent/],
    ["another agent's token", { ...lamp, name: 'lock' }, /another agent speaks under the token lock/],
    [
      'an action name that is none',
      { ...lamp, actions: { switchOn: { description: '', data: none, event: 'switched_on' } } },
      /"switchOn" is no name for an action/,
    ],
    ['an event name that is none', withEvent('switched.on'), /"switched\.on" is no name for an event/],
    ['an expiry event name that is none', { ...lamp, expiryEvent: '*' }, /"\*" is no name for an event/],
    [
      'an expiry that looks like an action',
      { ...lamp, expiryEvent: 'switched_on' },
      /event switched_on of action switch_on is also the expiry event/,
    ],
  ])('with %s is refused', (_, contract, message) => {
    expect(() => defineContract(contract)).toThrow(RangeError);
    expect(() => defineContract(contract)).toThrow(message);
  });

  it.each(SIGNAL_EVENTS)('may not announce a success as %s', (event) => {
    expect(() => assertEventName(event)).toThrow(/is reserved for commands that changed nothing/);
    expect(() => defineContract(withEvent(event))).toThrow(RangeError);
    expect(() => defineContract({ ...lamp, expiryEvent: event })).toThrow(RangeError);
  });

  it('may use names that every object inherits', () => {
    expect(() => defineContract({ ...withEvent('constructor'), name: 'constructor' })).not.toThrow();
  });
});

describe('the agents that ship with MeshForge', () => {
  it.each([
    ['inventory', inventoryContract, ['create', 'update', 'adjust', 'reserve', 'release', 'fulfil', 'delete']],
    ['sys_lock_manager', lockContract, ['acquire', 'refresh', 'release', 'cancel', 'break']],
  ] as [string, AgentContract, string[]][])('%s has its actions', (name, contract, actions) => {
    expect(contract.name).toBe(name);
    expect(commandsOf(contract.actions).map(([action]) => action)).toEqual(actions);
  });

  it('the lock manager has actions of its own, which are no commands', () => {
    const own = ['wait', 'grant', 'leave', 'withdraw'];
    expect(Object.keys(lockContract.actions)).toEqual(expect.arrayContaining(own));
    for (const action of own) {
      const subject = `cmd.lock.${action}`;
      expect(Object.keys(jsonSchemas(lockContract).commands)).not.toContain(subject);
      expect(Object.keys(asyncApiDocument().operations)).not.toContain(subject);
      expect(Object.keys(asyncApiDocument().channels)).not.toContain(subject);
      expect(() => commandJsonSchema(lockContract, action)).toThrow(
        `no action ${action}: expected one of acquire, refresh, release, cancel, break`,
      );
    }
    for (const event of ['queued', 'left']) {
      expect(Object.keys(jsonSchemas(lockContract).events)).toContain(`evt.lock.${event}`);
    }
  });

  it('say what each action does', () => {
    for (const { actions } of [inventoryContract, lockContract]) {
      for (const { description } of Object.values(actions)) expect(description).toMatch(/^[A-Z].+\.$/);
    }
  });
});
