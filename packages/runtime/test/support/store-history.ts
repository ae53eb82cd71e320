/** Random histories of stores that share one simulated stream, and how they are run. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { z } from 'zod';
import type { Clock } from '../../src/clock.ts';
import { annotate, commit, defineAgent, reject } from '../../src/core/agent.ts';
import type { Command } from '../../src/core/decide.ts';
import type { Entity, QueuePlace } from '../../src/core/entity.ts';
import type { StoreOutcome } from '../../src/core/outcome.ts';
import { bodyDigest, digestOf } from '../../src/nats/digest.ts';
import { EntityReader, type ReadResult } from '../../src/nats/entity-reader.ts';
import type { RequestPort } from '../../src/nats/requester.ts';
import { EntityStore } from '../../src/store/entity-store.ts';
import { SimulatedStream, type Fault, type FireFault } from '../simulated-stream.ts';

const by = z.object({ by: z.int() });

/** Counts. A count can be held for a while by a lease, which any other commit ends. */
export const counter = defineAgent({
  name: 'counter',
  state: z.object({ n: z.int(), held: z.boolean() }),
  actions: {
    create: { data: by, event: 'created', entity: 'absent', rule: () => ({ n: 0, held: false }) },
    add: {
      data: by,
      event: 'added',
      entity: 'present',
      rule: ({ n }, data) =>
        n + data.by < 0
          ? reject('below_zero', 'would fall below zero')
          : commit({ n: n + data.by, held: false }, { data: { by: data.by } }),
    },
    // Commits or refuses depending on when it is decided.
    hurry: {
      data: by,
      event: 'hurried',
      entity: 'present',
      rule: ({ n }, data, { now }) =>
        now % 3 === 0
          ? reject('too_late', 'the time is over')
          : commit({ n: n + data.by, held: false }, { data: { by: data.by } }),
    },
    hold: {
      data: by,
      event: 'holding',
      entity: 'any',
      rule: (state, data, { now }) =>
        commit({ n: state?.n ?? 0, held: true }, { expiresAt: now + 400 + 100 * data.by }),
    },
    drop: {
      data: by,
      event: 'dropped',
      entity: 'present',
      rule: ({ n, held }) => (held ? { n, held: false } : reject('not_held', 'nobody holds it')),
    },
    count: { data: by, event: 'counted', entity: 'any', rule: (state) => ({ n: state?.n ?? 0, held: false }) },
    note: { data: by, event: 'noted', entity: 'present', rule: (_state, data) => annotate(`note ${data.by}`) },
    delete: { data: by, event: 'deleted', entity: 'present', rule: () => null },
  },
  lease: { expiryEvent: 'expired', events: ['holding'], expire: (state) => ({ ...state, held: false }) },
});

/** A command as its sender has made it. */
export interface Made {
  id: string;
  entityId: string;
  action: keyof typeof counter.actions;
  by: number;
  expectedVersion?: number | undefined;
  /** Of a durable one: its sequence in the queue. */
  queued?: number | undefined;
}

export function commandOf({ action, by: much, entityId, expectedVersion, id, queued }: Made): Command {
  const data = { by: much };
  return {
    entityId,
    action,
    expectedVersion,
    data,
    commandId: id,
    digest: digestOf(id),
    bodyDigest: bodyDigest([action, data]),
    headers: [['Mesh-Command-Id', id]],
    queued: queued === undefined ? undefined : placeOf(queued),
  };
}

/** Commands come into the queue one after the other. */
function placeOf(sequence: number): QueuePlace {
  return { sequence, storedAt: 1_000 * sequence };
}

export type Step =
  /** @property how `misused`: under the same id with another body. `put_back`: as a dead letter that is replayed */
  | { kind: 'send'; store: number; command: number; how: 'plain' | 'misused' | 'put_back' }
  | { kind: 'mark'; store: number; entityId: string; sequence: number }
  /** All that was sent is answered, and then so much time passes. */
  | { kind: 'wait'; ms: number }
  /** So many commits of others, more than an entity remembers. */
  | { kind: 'crowd'; entityId: string };

/** What is drawn of one run. */
export interface Drawn {
  commands: readonly Made[];
  steps: readonly Step[];
  faults: readonly Fault[];
  fires: readonly FireFault[];
  /** Which of the schedules that are taken out stay all the same. */
  stays: readonly boolean[];
  isReplicated: boolean;
  cacheEntities: number;
}

export interface Told {
  made: Made;
  how: 'plain' | 'misused' | 'put_back';
  outcome: StoreOutcome;
}

/** What came of one run. */
export interface Ran {
  stream: SimulatedStream;
  told: readonly Told[];
  /** Marks that were moved, as the store says. */
  marks: readonly { entityId: string; sequence: number }[];
  /** How entities were read in between, and behind which message of the log that was. */
  seen: readonly { entityId: string; sequence: number; entity: ReadResult<Entity> }[];
  /** A store that knows nothing yet, on a server without faults, when all leases are over. */
  fresh: EntityStore;
  reader: EntityReader;
}

const ENTITIES = ['a', 'b'] as const;
const CROWD = 33;
/** A dead letter that is put back gets a new place in the queue. */
export const PUT_BACK = 100;

const fault = fc.constantFrom<Fault>(
  ...(['none', 'none', 'none', 'none', 'lost_before', 'lost_after', 'late'] as const),
  ...(['behind', 'behind', 'proposed', 'stale', 'busy', 'in_flight', 'full'] as const),
);
/** Reads work, publishes mostly do not: the longest doubt. */
const doubt = fc.constantFrom<Fault>('none', 'lost_before', 'late', 'late', 'proposed', 'full');
export const anyFaults = fc.oneof(
  fc.array(fault, { maxLength: 60 }),
  fc.array(doubt, { minLength: 10, maxLength: 60 }),
);

const made = fc.record({
  entityId: fc.constantFrom(...ENTITIES),
  action: fc.constantFrom<Made['action']>(
    ...(['create', 'create', 'add', 'add', 'hurry', 'hold', 'hold', 'drop', 'note', 'delete'] as const),
  ),
  by: fc.integer({ min: -3, max: 5 }),
  expectedVersion: fc.option(fc.nat(6), { nil: undefined, freq: 2 }),
  isQueued: fc.boolean(),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      store: fc.nat(2),
      command: fc.nat(15),
      how: fc.constantFrom('plain', 'plain', 'plain', 'plain', 'misused', 'put_back'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('mark' as const),
      store: fc.nat(2),
      entityId: fc.constantFrom(...ENTITIES),
      sequence: fc.integer({ min: 1, max: 15 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 200, 500, 1_000, 4_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('crowd' as const), entityId: fc.constantFrom(...ENTITIES) }),
  },
);

export const anyDrawn: fc.Arbitrary<Drawn> = fc.record({
  // Few, so that many are sent twice; never one id for two entities, which is a misuse tested elsewhere.
  commands: fc
    .array(made, { minLength: 1, maxLength: 16 })
    .map((list) =>
      list.map(({ isQueued, ...each }, i) => ({ ...each, id: `c${i}`, queued: isQueued ? i + 1 : undefined })),
    ),
  steps: fc.array(step, { minLength: 1, maxLength: 30 }),
  faults: anyFaults,
  fires: fc.array(fc.oneof(fc.nat(8), fc.constant('lost' as const)), { maxLength: 12 }),
  stays: fc.array(fc.boolean(), { maxLength: 4 }),
  isReplicated: fc.boolean(),
  cacheEntities: fc.constantFrom(0, 1, 10),
});

/** Reads have faults of their own list, so that a long doubt about a publish can come with clear sight. */
export function drawnFaults(list: readonly Fault[]): (kind: 'publish' | 'read') => Fault {
  const publishes = [...list];
  const reads = list.filter((_fault, i) => i % 5 === 0);
  return (kind) => (kind === 'publish' ? publishes : reads).shift() ?? 'none';
}

export interface Time {
  now: number;
}

/** A store of its own, as a replica has it. */
export function newStore(
  requester: RequestPort,
  { cacheEntities = 10, isReplicated = false, time = { now: 0 } } = {},
): EntityStore {
  const clock: Clock = {
    wall: () => time.now,
    monotonic: () => time.now,
    sleep: async (ms) => {
      time.now += Math.ceil(ms);
      await new Promise((resolve) => setImmediate(resolve));
    },
    random: () => 0.5,
  };
  return new EntityStore({
    agent: counter,
    reader: readerOf(requester, isReplicated, time),
    requester,
    clock,
    serverNow: () => time.now++,
    measureServerTime: () => Promise.resolve(),
    cache: { entities: cacheEntities, bytes: 1_000_000 },
    maxPayload: () => 1_048_576,
    onDefect: (_action, reason) => expect.unreachable(reason),
  });
}

function readerOf(requester: RequestPort, isReplicated: boolean, time: Time): EntityReader {
  return new EntityReader({
    agent: counter,
    requester,
    isReplicated: () => isReplicated,
    serverNow: () => time.now,
  });
}

export async function runHistory(history: Drawn): Promise<Ran> {
  const { cacheEntities, commands, isReplicated, steps } = history;
  const time: Time = { now: 1_000_000 };
  const [fires, stays] = [[...history.fires], [...history.stays]];
  const nextFault = drawnFaults(history.faults);
  let isFaulty = true;
  const stream = new SimulatedStream((kind) => (isFaulty ? nextFault(kind) : 'none'), isReplicated, {
    now: () => time.now,
    nextFire: () => fires.shift() ?? 0,
    stays: () => stays.shift() ?? false,
  });
  const stores = [0, 1, 2].map(() => newStore(stream, { cacheEntities, isReplicated, time }));
  const told: Told[] = [];
  const marks: Ran['marks'][number][] = [];
  const seen: Ran['seen'][number][] = [];
  let underWay: Promise<void>[] = [];
  const answered = async (): Promise<void> => {
    await Promise.all(underWay);
    underWay = [];
  };
  for (const [i, each] of steps.entries()) {
    switch (each.kind) {
      case 'send': {
        const { how } = each;
        const sent = sentAs(commands[each.command % commands.length] as Made, how);
        const outcome = (stores[each.store] as EntityStore).execute(commandOf(sent));
        underWay.push(outcome.then((known) => void told.push({ made: sent, how, outcome: known })));
        break;
      }
      case 'mark': {
        const { entityId, sequence } = each;
        const moved = (stores[each.store] as EntityStore).moveMark(entityId, placeOf(sequence));
        underWay.push(moved.then((why) => void (why === undefined && marks.push({ entityId, sequence }))));
        break;
      }
      case 'wait':
        await answered();
        time.now += each.ms;
        await look(seen, stream, time);
        break;
      case 'crowd':
        await answered();
        isFaulty = false;
        for (let n = 0; n < CROWD; n++) {
          const id = `crowd-${i}-${n}`;
          await stores[0]?.execute(commandOf({ id, entityId: each.entityId, action: 'count', by: 0 }));
        }
        isFaulty = true;
    }
  }
  await answered();
  await look(seen, stream, time);
  stream.settle();
  isFaulty = false;
  await look(seen, stream, time);
  const fresh = newStore(stream, { isReplicated, time });
  time.now += 100_000;
  for (const entityId of ENTITIES) await fresh.endLostLease(entityId);
  stream.settle();
  return { stream, told, marks, seen, fresh, reader: readerOf(stream, isReplicated, time) };
}

/** Reads every entity as the log stands at one moment. */
async function look(seen: Ran['seen'][number][], { history, messages }: SimulatedStream, time: Time): Promise<void> {
  const frozen = new SimulatedStream(() => 'none', false);
  frozen.messages.push(...messages);
  const sequence = history.length;
  const reader = readerOf(frozen, false, { ...time });
  for (const entityId of ENTITIES) seen.push({ entityId, sequence, entity: await reader.entity(entityId, true) });
}

function sentAs(sent: Made, how: Told['how']): Made {
  if (how === 'misused') return { ...sent, by: sent.by + 100 };
  return how === 'put_back' && sent.queued !== undefined ? { ...sent, queued: sent.queued + PUT_BACK } : sent;
}
