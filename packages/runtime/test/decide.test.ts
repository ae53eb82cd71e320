/** Hunts a decision made in another order than the documented one, and rules that can do harm. */
import type { JsonObject } from '@meshforge/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type * as agentModule from '../src/core/agent.ts';
import { commit, defineAgent, reject } from '../src/core/agent.ts';
import { decide, type Command, type Plan } from '../src/core/decide.ts';
import { NO_ENTITY, NO_PLACE, type Entity, type QueuePlace } from '../src/core/entity.ts';
import { NO_COMMANDS, remember } from '../src/core/recent.ts';

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
    guarded: { ...action, entity: 'present', requiresLease: true },
    guarded_by: { ...action, entity: 'present', requiresLease: ({ entityId }) => `lock of ${entityId}` },
    torn: {
      ...action,
      entity: 'any',
      requiresLease: () => {
        throw new Error('defect');
      },
    },
    vague: { ...action, entity: 'any', requiresLease: () => undefined as never },
  },
});

const command: Command = {
  entityId: 'e',
  action: 'put',
  expectedVersion: undefined,
  data: { mode: 'accept' },
  commandId: 'id',
  digest: 'digest',
  bodyDigest: 'body',
  headers: [],
};

/** What the entity has seen: token 5 of one resource, and as many others as it can. */
const FULL = Array.from({ length: 31 }, (_, i) => `r${i}.1`).reduce((all, fence) => `${all} ${fence}`, 'job.5');
const leases = fc.option(
  fc.record({
    resource: fc.constantFrom('job', 'lock of e', 'r7', 'other'),
    fencingToken: fc.constantFrom(1, 4, 5, 6),
  }),
  { nil: undefined },
);

const entities = fc.record({
  mark: fc.record({ sequence: fc.nat(5), storedAt: fc.nat(5) }),
  fenced: fc.constantFrom('', 'job.5', FULL),
  live: fc.boolean(),
  version: fc.nat(5),
  /** Digest of what the command said that had the id before; empty: nobody took one. */
  known: fc.constantFrom('unknown', 'unknown', 'body', 'other', ''),
});

type Shape = typeof entities extends fc.Arbitrary<infer T> ? T : never;

function entityOf({ fenced, known, live, mark, version }: Shape): Entity {
  const earlier = { digest: 'digest', body: known, version, sequence: version };
  return {
    ...NO_ENTITY,
    fences: fenced,
    sequence: version,
    version,
    mark,
    state: live && version > 0 ? { n: 0 } : null,
    recent: known === 'unknown' || version === 0 ? NO_COMMANDS : remember(NO_COMMANDS, earlier),
  };
}

test('a command is decided in the documented order, whatever the entity and the command', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      entities,
      fc.constantFrom('make', 'change', 'put', 'guarded', 'guarded_by', 'torn', 'vague'),
      fc.constantFrom('accept', 'refuse', 'throw', 'break', 'lease', 'delete'),
      fc.option(fc.nat(6), { nil: undefined }),
      leases,
      fc.option(fc.record({ sequence: fc.nat(8), storedAt: fc.nat(8) }), { nil: undefined }),
      (shape, name, mode, expectedVersion, lease, queued) => {
        const entity = entityOf(shape);
        const made = { ...command, action: name, data: { mode }, expectedVersion, lease, queued };
        const plan = decide(agent, entity, made, 0);
        const current = entity.state === null ? 0 : entity.version;
        const before = decidedBefore(entity, shape, queued);
        const refusal = before === undefined ? leaseRefusal(entity, name, lease) : undefined;
        expect(plan.kind).toBe(before ?? refusal?.kind ?? expectedKind(entity, name, mode, expectedVersion, current));
        if (refusal !== undefined) {
          expect(plan).toMatchObject({ payload: { code: refusal.code, entity_id: 'e', action: name } });
        }
        seen.add(plan.kind === 'rejected' ? plan.payload.code : plan.kind);
        if (plan.kind === 'commit') expect(plan.fences).toBe(fencesAfter(entity, lease));
        if (plan.kind === 'conflict') expect(plan.payload.current_version).toBe(current);
        if (plan.kind === 'commit') expect(plan.version).toBe(entity.version + 1);
      },
    ),
    { numRuns: 6_000 },
  );
  expect([...seen].sort()).toEqual([
    'already_exists',
    'commit',
    'conflict',
    'defect',
    'forgotten',
    'lease_required',
    'misused',
    'no',
    'not_found',
    'replay',
    'stale_token',
    'too_many_resources',
  ]);
});

/** How it is decided where it was decided before, or where nobody can tell any more. */
function decidedBefore({ mark, recent }: Entity, { known }: Shape, queued?: QueuePlace): Plan['kind'] | undefined {
  if (recent.count > 0) return known === 'other' ? 'misused' : 'replay';
  const isMarked = queued !== undefined && queued.sequence <= mark.sequence && queued.storedAt <= mark.storedAt;
  return isMarked ? 'forgotten' : undefined;
}

type Lease = Command['lease'];

function leaseRefusal(
  { fences }: Entity,
  name: string,
  lease: Lease,
): { kind: Plan['kind']; code: string } | undefined {
  const known = new Map(fences.split(' ').map((entry) => entry.split('.') as [string, string]));
  const highest = Number(known.get(lease?.resource ?? '') ?? 0);
  if (lease !== undefined && lease.fencingToken < highest) return { kind: 'rejected', code: 'stale_token' };
  if (name === 'torn' || name === 'vague') return { kind: 'defect', code: 'unavailable' };
  const isMissing = name === 'guarded' ? lease === undefined : name === 'guarded_by' && lease?.resource !== 'lock of e';
  if (isMissing) return { kind: 'rejected', code: 'lease_required' };
  const isFull = lease !== undefined && highest === 0 && known.size === 32;
  return isFull ? { kind: 'rejected', code: 'too_many_resources' } : undefined;
}

function fencesAfter({ fences }: Entity, lease: Lease): string {
  if (lease === undefined) return fences;
  const { resource, fencingToken } = lease;
  const raised = `${resource === 'lock of e' ? 'lock%20of%20e' : resource}.${fencingToken}`;
  if (fences === '') return raised;
  const name = raised.slice(0, raised.indexOf('.') + 1);
  if (!` ${fences}`.includes(` ${name}`)) return `${fences} ${raised}`;
  return fences
    .split(' ')
    .map((entry) => (entry.startsWith(name) ? raised : entry))
    .join(' ');
}

function expectedKind(
  entity: Entity,
  name: string,
  mode: string,
  expectedVersion: number | undefined,
  current: number,
): Plan['kind'] {
  if (expectedVersion !== undefined && expectedVersion !== current) return 'conflict';
  if (name === 'make' && entity.state !== null) return 'rejected';
  if (/^change|^guarded/.test(name) && entity.state === null) return 'rejected';
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

  test('of an id that was another command says so, and what to do', () => {
    const entity = entityOf({ fenced: '', known: 'other', live: true, mark: NO_PLACE, version: 1 });
    const plan = decide(agent, entity, command, 0);
    expect(plan).toMatchObject({
      kind: 'misused',
      payload: { code: 'invalid_command', entity_id: 'e', action: 'put' },
    });
    expect((plan as { payload: { reason: string } }).payload.reason).toBe(
      'command id id was used before, for another command on this entity: give each command its own',
    );
  });

  test('gives a rule nothing that it could change', () => {
    const careless = defineAgent({
      name: 'careless',
      state: z.object({ list: z.array(z.int()) }),
      actions: {
        push: {
          data: z.object({ list: z.array(z.int()) }),
          event: 'pushed',
          entity: 'any',
          rule: (before: { list: number[] } | null, given) => {
            (before ?? given).list.push(1);
            return reject('no', 'after all');
          },
        },
      },
    });
    const entity: Entity = { ...NO_ENTITY, sequence: 1, version: 1, state: { list: [] } };
    const push = { ...command, action: 'push', data: { list: [] } };
    for (const given of [entity, NO_ENTITY]) expect(decide(careless, given, push, 0).kind).toBe('defect');
    expect([entity.state, push.data]).toEqual([{ list: [] }, { list: [] }]);
  });

  test('takes the results of rules that another copy of the package has made', async () => {
    const copy = '../src/core/agent.ts?copy';
    const other = (await import(/* @vite-ignore */ copy)) as typeof agentModule;
    expect(other.reject).not.toBe(reject);
    const foreign = defineAgent({
      name: 'foreign',
      state,
      actions: {
        refuse: { data: z.object({}), event: 'a', entity: 'any', rule: () => other.reject('no', 'refused') },
        accept: { data: z.object({}), event: 'b', entity: 'any', rule: () => other.commit({ n: 1 }, { notes: 'x' }) },
        note: { data: z.object({}), event: 'c', entity: 'any', rule: () => other.annotate('y') },
      },
    });
    const entity: Entity = { ...NO_ENTITY, sequence: 1, version: 1, state: { n: 0 } };
    const decided = (name: string): Plan => decide(foreign, entity, { ...command, action: name, data: {} }, 0);
    expect(decided('refuse')).toMatchObject({ kind: 'rejected', payload: { code: 'no' } });
    expect(decided('accept')).toMatchObject({ kind: 'commit', version: 2, state: { n: 1 }, notes: 'x' });
    expect(decided('note')).toMatchObject({ kind: 'commit', version: 1, isUnchanged: true, notes: 'y' });
  });

  test('about a lease says what was sent, what was seen and what is asked for', () => {
    const decided = (name: string, lease?: Lease): unknown => {
      return decide(agent, { ...NO_ENTITY, fences: 'a%2Eb.5' }, { ...command, action: name, lease }, 0);
    };
    expect(decided('put', { resource: 'a.b', fencingToken: 4 })).toEqual({
      kind: 'rejected',
      payload: {
        entity_id: 'e',
        action: 'put',
        code: 'stale_token',
        reason:
          'the lease on "a.b" is over: fencing token 4 was sent, and the entity has seen 5. ' +
          'Acquire it again and decide anew',
      },
    });
    const reasonOf = (plan: unknown): string => (plan as { payload: { reason: string } }).payload.reason;
    expect(reasonOf(decided('guarded'))).toBe(
      'guarded requires a lease, got none: send lease: { resource, fencing_token }',
    );
    expect(reasonOf(decided('guarded_by', { resource: 'a.b\n', fencingToken: 5 }))).toBe(
      String.raw`guarded_by requires a lease on "lock of e", got one on "a.b\u{a}": send lease: { resource, fencing_token }`,
    );
  });

  test('of a lease stays `rejected` where the agent answers denied', () => {
    const denying = defineAgent({ ...agent, denied: z.object({}) });
    const plan = decide(denying, NO_ENTITY, { ...command, action: 'guarded' }, 0);
    expect(plan).toMatchObject({ kind: 'rejected', payload: { code: 'lease_required' } });
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
