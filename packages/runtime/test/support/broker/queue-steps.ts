import fc from 'fast-check';
import type { Kind, Loss } from './link.ts';

export const REPLICAS = 3;

const afterMs: fc.Arbitrary<number> = fc.constantFrom(0, 0, 0, 1, 3, 10, 50, 200, 700, 1_200, 2_500);
const spanMs = fc.constantFrom(1, 10, 200, 900, 1_100, 2_500, 6_000);
const entity = fc.constantFrom('a', 'b', 'c');
/** Null: the one that works, as far as it knows. */
const replica = fc.option(fc.nat(REPLICAS - 1), { freq: 2 });
const by = fc.constantFrom(1, 1, 2, -1, -2);
const command = { entity, by, version: fc.option(fc.nat(4), { nil: undefined, freq: 4 }), afterMs };

function kindOf<const Name extends string, Parts extends object>(
  weight: number,
  kind: Name,
  parts: { [Part in keyof Parts]: fc.Arbitrary<Parts[Part]> },
) {
  const arbitrary = fc.record({ kind: fc.constant(kind), afterMs, ...parts });
  return { weight, arbitrary: arbitrary as unknown as fc.Arbitrary<{ kind: Name; afterMs: number } & Parts> };
}

const step = fc.oneof(
  kindOf(6, 'add', command),
  kindOf(2, 'hurry', { entity }),
  kindOf(1, 'boom', { entity }),
  kindOf(1, 'unknown', { entity }),
  // As others do who need no queue.
  kindOf(3, 'directly', { entity, by }),
  kindOf(2, 'later', {
    ...command,
    laterMs: fc.constantFrom(300, 900, 2_000),
    // In the moments around its time, since schedules fire up to 75 ms late.
    cancelMs: fc.option(fc.constantFrom(-300, -5, 0, 10, 30, 50, 70, 80, 100, 500)),
  }),
);

const what = fc.constantFrom<Kind>(
  'ack',
  'pull',
  'commit',
  'refusal',
  'decision',
  'letter',
  'delete',
  'read',
  'delivery',
);
const blow = fc.oneof(
  kindOf(3, 'crash', { replica, downMs: fc.constantFrom(1, 500, 2_000, 5_000), isNoticed: fc.boolean() }),
  kindOf(1, 'restart', { replica }),
  kindOf(3, 'freeze', { replica, spanMs }),
  kindOf(2, 'slow', { replica, spanMs }),
  kindOf(2, 'disconnect', { replica, spanMs }),
  kindOf(2, 'outage', { spanMs }),
  kindOf(2, 'stall', { stream: fc.constantFrom('commands' as const, 'log' as const, 'letters' as const), spanMs }),
  kindOf(1, 'directly', { entity, by }),
);
const fault = fc.oneof(
  { weight: 3, arbitrary: blow },
  kindOf(2, 'lose', {
    what,
    times: fc.constantFrom(1, 1, 2, 5),
    loss: fc.constantFrom<Loss>('before', 'after', 'after'),
  }),
  // The blow falls when a replica next sends that.
  kindOf(2, 'trap', { what, blow }),
);

type Drawn<A> = A extends fc.Arbitrary<infer T> ? T : never;
export type Step = Drawn<typeof step> | Drawn<typeof fault>;

/** What is sent, and nothing goes wrong. */
export const sends: fc.Arbitrary<Step[]> = fc.array(step, { minLength: 3, maxLength: 25, size: 'max' });

const any: fc.Arbitrary<Step> = fc.oneof({ weight: 3, arbitrary: step }, { weight: 2, arbitrary: fault });
const kinds = 'crash restart freeze slow disconnect lose trap outage stall later hurry boom unknown directly'.split(
  ' ',
);

/**
 * What is sent, and what goes wrong: some kinds of it are missing in each history, so that the others meet more often. Nobody can
 * know of a commit that a dead replica's connection delivers seconds later; only a rule that depends on the time refuses meanwhile.
 */
export const faults: fc.Arbitrary<Step[]> = fc
  .tuple(fc.subarray(kinds), fc.boolean(), fc.boolean(), fc.array(any, { minLength: 5, maxLength: 40, size: 'max' }))
  .map(([missing, isOne, isHurried, steps]) =>
    steps
      .filter((each) => ![...missing, isHurried ? 'slow' : 'hurry'].some((kind) => isOf(each, kind)))
      .map((each) => (isOne && 'entity' in each ? { ...each, entity: 'a' } : each)),
  );

function isOf(each: Step, kind: string): boolean {
  return each.kind === kind || (each.kind === 'trap' && each.blow.kind === kind);
}
