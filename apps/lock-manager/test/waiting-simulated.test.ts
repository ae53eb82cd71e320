/**
 * Hunts interleavings that a real server rarely shows: three replicas in a time of their own, every message late by chance,
 * and replicas that die at any moment. Thousands of histories; a failing one is printed with its seed, as short as it gets.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { flawsOf } from './support/lease-history.ts';
import { SimulatedLocks } from './support/simulated-locks.ts';
import { SimulatedTime } from '../../../packages/runtime/test/support/internals.ts';

const NOON = Date.parse('2000-01-01T12:00:00.000Z');
/** After the last crash and the end of a wait, in milliseconds. */
const BOUND_MS = 9_000;
/** After the end of a wait: twice, a replica may leave it to another one for 300 ms; and ten messages of at most 4 ms, each way. */
const LATE_MS = 700;

const owner = fc.constantFrom('ann', 'bob', 'cy', 'dee');
const replica = fc.nat(2);
const afterMs = fc.constantFrom(0, 0, 1, 2, 3, 5, 10, 100, 300);
const ttl = fc.constantFrom(500, 800);
const waitMs = fc.constantFrom(5, 100, 300, 302, 1_000, 5_000);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait' as const), owner, replica, afterMs, ttl, waitMs }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('acquire' as const), owner, replica, afterMs, ttl }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), owner, replica, afterMs }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), owner, replica, afterMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break' as const), replica, afterMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('vanish' as const), owner, afterMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again' as const), owner, replica, afterMs }) },
);
const crash = fc.record({
  kind: fc.constant('crash' as const),
  replica,
  afterMs,
  downMs: fc.constantFrom(1, 500, 2_000),
});
/** Acknowledgements of held commands that are lost: these land late, or never. */
const loss = fc.record({
  kind: fc.constant('lose' as const),
  stores: fc.constantFrom(1, 1, 2),
  landsAfterMs: fc.constantFrom(undefined, 0, 100, 1_500),
  afterMs,
});
type Drawn<A> = A extends fc.Arbitrary<infer T> ? T : never;
type Step = Drawn<typeof step> | Drawn<typeof crash> | Drawn<typeof loss>;

interface Waiting {
  owner: string;
  commandId: string;
  inboxes: string[];
  sentAt: number;
  waitMs: number;
  send: (at: number) => void;
}

class Run {
  readonly #time: SimulatedTime;
  readonly #locks: SimulatedLocks;
  readonly #waiting: Waiting[] = [];
  readonly #crashes: Promise<void>[] = [];
  #ids = 0;

  constructor(seed: number) {
    this.#time = new SimulatedTime(NOON, seed);
    this.#locks = new SimulatedLocks(this.#time, 3);
  }

  async play(steps: readonly Step[]): Promise<string[]> {
    const time = this.#time;
    await time.pass(NOON + 20);
    for (const each of steps) {
      await time.pass(time.now + each.afterMs);
      this.#step(each);
    }
    let isHealed = false;
    void Promise.all(this.#crashes).then(() => (isHealed = true));
    await time.pass(time.now + 60_000, () => isHealed);
    // A command can die with the replica that had it: its sender sends it again.
    if (this.#crashes.length > 0) {
      for (const waiting of this.#waiting) if (!this.#isSettled(waiting)) waiting.send(0);
    }
    const healedAt = time.now;
    await time.pass(healedAt + 5_000 + BOUND_MS, () => this.#waiting.every((waiting) => this.#isSettled(waiting)));
    // Second answers, and grants that come too late.
    await time.pass(time.now + 7_000);
    const stops = Promise.all(this.#locks.replicas.map((each) => each.stop()));
    await time.pass(time.now + 1_000);
    await stops;
    return this.#flaws(steps.some(({ kind }) => kind === 'crash' || kind === 'lose'));
  }

  #step(each: Step): void {
    const data = 'owner' in each ? { owner_id: each.owner } : {};
    switch (each.kind) {
      case 'wait':
        return this.#wait(each);
      case 'crash':
        if (this.#locks.replicas[each.replica]?.isDead === false) {
          this.#crashes.push(this.#locks.crash(each.replica, each.downMs));
        }
        return;
      case 'lose':
        return this.#locks.held.lose(each.stores, each.landsAfterMs);
      case 'vanish':
        return this.#latestOf(each.owner)?.inboxes.forEach((inbox) => this.#locks.gone.add(inbox));
      case 'again': {
        const waiting = this.#latestOf(each.owner);
        if (waiting !== undefined && !this.#isSettled(waiting)) waiting.send(each.replica);
        return;
      }
      case 'acquire':
        return this.#send('acquire', each.replica, { ...data, ttl_ms: each.ttl });
      case 'break':
        return this.#send('break', each.replica, { reason: 'for the test' });
      case 'cancel':
      case 'release':
        return this.#send(each.kind, each.replica, data);
    }
  }

  #send(action: string, at: number, data: { owner_id?: string; reason?: string; ttl_ms?: number }): void {
    const id = `other-${++this.#ids}`;
    void this.#locks.replicas[at]?.take(action, data, id, id);
  }

  #wait({ owner: name, replica: at, ttl: ttlMs, waitMs: forMs }: Extract<Step, { kind: 'wait' }>): void {
    const commandId = `wait-${++this.#ids}`;
    const inboxes: string[] = [];
    const data = { owner_id: name, ttl_ms: ttlMs, wait_ms: forMs };
    const send = (where: number): void => {
      inboxes.push(`${commandId}.${inboxes.length}`);
      void this.#locks.replicas[where]?.take('acquire', data, commandId, inboxes.at(-1) as string);
    };
    this.#waiting.push({ owner: name, commandId, inboxes, sentAt: this.#time.now, waitMs: forMs, send });
    send(at);
  }

  #latestOf(name: string): Waiting | undefined {
    return this.#waiting.findLast((waiting) => waiting.owner === name);
  }

  #answersOf({ inboxes }: Waiting) {
    return this.#locks.answers.filter(({ inbox }) => inboxes.includes(inbox));
  }

  #isSettled(waiting: Waiting): boolean {
    return this.#locks.gone.has(waiting.inboxes[0] as string) || this.#answersOf(waiting).length > 0;
  }

  #flaws(hasFaults: boolean): string[] {
    const { events, faults, held } = this.#locks;
    const flaws = flawsOf(events, { freeMs: hasFaults ? BOUND_MS : 1_000 });
    flaws.push(...faults.map((fault) => `fault: ${String(fault)}`));
    if (held.size > 0) flaws.push(`${held.size} commands are held for ever`);
    for (const waiting of this.#waiting) {
      const { commandId, inboxes, owner: name, sentAt, waitMs: forMs } = waiting;
      const answers = this.#answersOf(waiting);
      const told = answers.map(({ outcome }) => ('code' in outcome ? outcome.code : outcome.kind));
      const wrong = (what: string): void => void flaws.push(`${commandId} of ${name} (${told.join(', ')}) ${what}`);
      if (!this.#isSettled(waiting)) wrong('was never answered');
      const inTwo = inboxes.some((inbox) => answers.filter((answer) => answer.inbox === inbox).length > 1);
      if (inTwo && !hasFaults) wrong('was answered twice at one inbox');
      const isGranted = events.some((event) => event.event === 'acquired' && event.commandId === commandId);
      const isRefused = told.some((telling) => ['held', 'cancelled', 'queue_full'].includes(telling));
      if (isGranted && isRefused && inboxes.length === 1) wrong('was refused, and granted the lock');
      const mayBeCancelled =
        this.#waiting.some((other) => other !== waiting && other.owner === name) ||
        events.some(({ data, event }) => event === 'cancelled' && data?.owner_id === name);
      if (told.includes('cancelled') && !mayBeCancelled) wrong('was told that it was cancelled, and nobody did');
      const isLease = told.some((telling) => telling === 'committed' || telling === 'replayed');
      if (isLease && !isGranted) wrong('was told of a lease that is not in the log');
      const first = answers[0];
      if (first === undefined || hasFaults || inboxes.length > 1) continue;
      if (first.at - sentAt > forMs + LATE_MS) wrong(`had its answer after ${Math.round(first.at - sentAt)} ms`);
      if (told[0] === 'held' && first.at - sentAt < forMs - 4) wrong(`was told so after ${first.at - sentAt} ms`);
    }
    return flaws;
  }
}

const seed = fc.integer();

test('without crashes: one answer each, in time and true, and a log without a flaw', async () => {
  await fc.assert(
    fc.asyncProperty(seed, fc.array(step, { minLength: 5, maxLength: 25, size: 'max' }), async (number, steps) => {
      expect(await new Run(number).play(steps)).toEqual([]);
    }),
    { numRuns: 1_000, interruptAfterTimeLimit: 15_000 },
  );
}, 120_000);

test('whatever replicas die and stores are lost: everybody has a true answer, and a log without a flaw', async () => {
  const any = fc.oneof({ weight: 8, arbitrary: step }, { weight: 1, arbitrary: crash }, { weight: 1, arbitrary: loss });
  await fc.assert(
    fc.asyncProperty(seed, fc.array(any, { minLength: 5, maxLength: 25, size: 'max' }), async (number, steps) => {
      expect(await new Run(number).play(steps)).toEqual([]);
    }),
    { numRuns: 1_000, interruptAfterTimeLimit: 15_000 },
  );
}, 120_000);
