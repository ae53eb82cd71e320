/** Hunts a decision made in another order than the documented one, and rules that can do harm. */
import type { JsonObject } from '@meshforge/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { commit, defineAgent, reject } from '../src/core/agent.ts';
import { decide, type Command, type Plan } from '../src/core/decide.ts';
import { NO_ENTITY, type Entity } from '../src/core/entity.ts';
import { NO_COMMITS, remember } from '../src/core/recent.ts';

const data = z.object({ mode: z.enum(['accept', 'refuse', 'throw', 'break', 'lease', 'delete']) });
type Data = z.output<typeof data>;

function rule(_state: { n: number } | null, { mode }: Data) {
  if (mode === 'refuse') return reject('no', 'refused', { extra: 1 });
  if (mode === 'throw') throw new Error('defect');
  if (mode === 'break') return { n: 'not a number' } as unknown as { n: number };
  if (mode === 'lease') return commit({ n: 1 }, { expiresAt: 1_000 });
  return mode === 'delete' ? null : { n: 1 };
}

const state = z.object({ n: z.int() });
const action = { description: '', data, event: 'done', rule };
const agent = defineAgent({
  name: 'probe',
  state,
  actions: {
    make: { ...action, entity: 'absent' },
    change: { ...action, entity: 'present' },
    put: { ...action, entity: 'any' },
  },
});

const command: Command = {
  entityId: 'e',
  action: 'put',
  expectedVersion: undefined,
  data: { mode: 'accept' },
  commandId: 'id',
  digest: 'digest',
  headers: [],
};

const entities = fc.record({
  live: fc.boolean(),
  version: fc.nat(5),
  known: fc.boolean(),
});

function entityOf({ live, version, known }: { live: boolean; version: number; known: boolean }): Entity {
  return {
    ...NO_ENTITY,
    sequence: version,
    version,
    state: live && version > 0 ? { n: 0 } : null,
    recent: known && version > 0 ? remember(NO_COMMITS, { digest: 'digest', version, sequence: version }) : NO_COMMITS,
  };
}

test('a command is decided in the documented order, whatever the entity and the command', () => {
  fc.assert(
    fc.property(
      entities,
      fc.constantFrom('make', 'change', 'put'),
      fc.constantFrom('accept', 'refuse', 'throw', 'break', 'lease', 'delete'),
      fc.option(fc.nat(6), { nil: undefined }),
      (shape, name, mode, expectedVersion) => {
        const entity = entityOf(shape);
        const plan = decide(agent, entity, { ...command, action: name, data: { mode }, expectedVersion }, 0);
        const current = entity.state === null ? 0 : entity.version;
        expect(plan.kind).toBe(expectedKind(entity, name, mode, expectedVersion, current));
        if (plan.kind === 'conflict') expect(plan.payload.current_version).toBe(current);
        if (plan.kind === 'commit') expect(plan.version).toBe(entity.version + 1);
      },
    ),
    { numRuns: 2_000 },
  );
});

function expectedKind(
  entity: Entity,
  name: string,
  mode: string,
  expectedVersion: number | undefined,
  current: number,
): Plan['kind'] {
  if (entity.recent.count > 0) return 'replay';
  if (expectedVersion !== undefined && expectedVersion !== current) return 'conflict';
  if (name === 'make' && entity.state !== null) return 'rejected';
  if (name === 'change' && entity.state === null) return 'rejected';
  if (mode === 'refuse') return 'rejected';
  // A lease of an agent that defines none is a defect, as is a rule that throws or breaks its own schema.
  return mode === 'throw' || mode === 'break' || mode === 'lease' ? 'defect' : 'commit';
}

describe('a decision', () => {
  test('is the same however often it is made, and changes neither entity nor command', () => {
    const entity = Object.freeze({ ...NO_ENTITY, sequence: 3, version: 3, state: Object.freeze({ n: 0 }) });
    const frozen = Object.freeze({ ...command, data: Object.freeze({ mode: 'accept' }) });
    expect(decide(agent, entity, frozen, 5)).toEqual(decide(agent, entity, frozen, 5));
  });

  test('of an absent entity names it in a way that cannot break a log line', () => {
    const plan = decide(agent, NO_ENTITY, { ...command, action: 'change', entityId: 'a\nb"\u001b[31m' }, 0);
    expect(plan.kind).toBe('rejected');
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    expect((plan as { payload: { reason: string } }).payload.reason).not.toMatch(/[\u0000-\u001f]/);
  });

  test('of an agent that answers denied carries the details of its rule', () => {
    const denying = defineAgent({ ...agent, denied: z.object({}) });
    const plan = decide(denying, NO_ENTITY, { ...command, data: { mode: 'refuse' } }, 0);
    expect(plan).toEqual({
      kind: 'denied',
      payload: { entity_id: 'e', extra: 1, code: 'no', reason: 'refused' } satisfies JsonObject,
    });
  });
});
