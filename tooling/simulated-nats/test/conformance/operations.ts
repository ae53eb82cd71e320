// Operations on a NATS server, drawn from a seed, and what the server answers to each.
import { Random } from '../../src/index.ts';

export type Headers = readonly (readonly [name: string, value: string])[];

/** Which sequence a publish expects: the right one, none at all, or a number that may be wrong. */
export type Expectation = 'right' | number;

export type Operation =
  | {
      kind: 'publish';
      subject: string;
      headers: Headers;
      expects?: Expectation | undefined;
      filter?: string | undefined;
      /** Milliseconds from now on, for `Nats-Schedule`. */
      scheduleInMs?: number | undefined;
      bytes: number;
    }
  | { kind: 'burst'; publishes: readonly Extract<Operation, { kind: 'publish' }>[] }
  | { kind: 'get'; request: object }
  | { kind: 'directGet'; subject?: string | undefined; request?: object | undefined }
  | { kind: 'deleteMessage'; sequence: number }
  | { kind: 'purge'; request: object }
  | { kind: 'info'; filter?: string | undefined }
  | { kind: 'recreate'; settings: object }
  | { kind: 'updateStream'; settings: object }
  | { kind: 'createConsumer'; name: string; action: string; settings: object }
  | { kind: 'consumerInfo'; name: string }
  | { kind: 'deleteConsumer'; name: string }
  | { kind: 'unpin'; name: string }
  | { kind: 'pull'; name: string; request: object; usesPin: boolean }
  /** @param at which of the deliveries that came so far, counted from the last one */
  | { kind: 'acknowledge'; at: number; body: string }
  | { kind: 'wait'; ms: number };

/**
 * Where time counts: what is asked for takes effect in the next wait, and not before, however long the operations up to it take.
 * Where it does not, it never takes effect.
 */
interface Pace {
  isSlow: boolean;
  /** For acknowledgements, pins and delays. */
  timeoutMs: number;
  scheduleInMs: number;
}

const FAST: Pace = { isSlow: false, timeoutMs: 3_600_000, scheduleInMs: 3_600_000 };
const SLOW: Pace = { isSlow: true, timeoutMs: 1_000, scheduleInMs: 700 };
/** Operations between two waits. */
const SEGMENT = 8;
const WAIT_MS = 2_800;

const SUBJECTS = ['s.a.x', 's.a.y', 's.b.x', 's.c', 's.a.0.z', 'q.cmd.a.b'];
const FILTERS = ['s.a.*', 's.>', 's.a.>', 's.*.x', 's.b.x', 'q.>', 'nothing.here'];
const IDS = ['id-1', 'id-2', 'id-3', 'id-4'];
const NAMES = ['one', 'two', 'three'];

/** Settings of the stream S; the subjects never change, so that all operations have something to meet. */
function settings(random: Random, replicas: number): object {
  const withSchedules = random.chance(0.5);
  const isWorkQueue = random.chance(0.35);
  return {
    name: 'S',
    subjects: ['s.>', 'q.>'],
    retention: isWorkQueue ? 'workqueue' : 'limits',
    storage: 'file',
    num_replicas: replicas,
    allow_direct: random.chance(0.9),
    allow_rollup_hdrs: withSchedules || random.chance(0.4),
    discard: withSchedules ? 'old' : random.pick(['old', 'new']),
    duplicate_window: 600_000_000_000,
    ...(withSchedules ? { allow_msg_schedules: true } : {}),
    ...(random.chance(0.5) ? { allow_msg_ttl: true } : {}),
    ...(random.chance(0.2) ? { deny_delete: true } : {}),
    ...(random.chance(0.3) ? { max_msgs_per_subject: random.pick([1, 3]) } : {}),
    ...(random.chance(0.3) ? { max_msg_size: 400 } : {}),
    ...(random.chance(0.4) ? { first_seq: random.pick([100, 1_767_225_600_000_000]) } : {}),
    ...(random.chance(0.6) ? { republish: { src: 's.*.*', dest: 'evt.{{wildcard(2)}}.{{wildcard(1)}}' } } : {}),
  };
}

function publish(random: Random, pace: Pace): Extract<Operation, { kind: 'publish' }> {
  const subject = random.pick(SUBJECTS);
  const headers: [string, string][] = [];
  const add = (probability: number, name: string, values: readonly string[]): void => {
    if (random.chance(probability)) headers.push([name, random.pick(values)]);
  };
  add(0.3, 'Nats-Msg-Id', IDS);
  add(0.1, 'Nats-Rollup', ['sub', 'sub', 'none', 'all']);
  add(0.05, 'Nats-TTL', ['3600s', '1h', 'never', '5ms', 'soon']);
  add(0.03, 'Nats-Expected-Stream', ['S', 'T']);
  add(0.05, 'Nats-Expected-Last-Sequence', ['3', '0']);
  add(0.1, 'Mesh-Mark', ['1', '2']);
  add(0.06, 'Nats-Scheduler', SUBJECTS);
  add(0.08, 'Nats-Schedule-Next', ['purge', 'purge', 'later']);
  const isScheduled = random.chance(0.12);
  if (isScheduled) headers.push(['Nats-Schedule-Target', random.pick([...SUBJECTS, 'elsewhere.a', 's.*'])]);
  const expects = random.chance(0.4) ? random.pick<Expectation>(['right', 'right', 0, 2]) : undefined;
  return {
    kind: 'publish',
    subject,
    headers,
    bytes: random.pick([0, 5, 5, 5, 500]),
    expects,
    filter: expects !== undefined && random.chance(0.6) ? random.pick(FILTERS) : undefined,
    scheduleInMs: isScheduled ? random.pick([pace.scheduleInMs, 3_600_000]) : undefined,
  };
}

const sequence = (random: Random): number => 1 + random.below(14);

function consumer(random: Random, { timeoutMs }: Pace): Operation {
  const timeout = timeoutMs * 1_000_000;
  const name = random.pick(NAMES);
  const isPinned = random.chance(0.35);
  const policy = random.pick(['all', 'all', 'new', 'last', 'by_start_sequence']);
  const backoff = random.chance(0.3);
  const several = random.chance(0.3);
  return {
    kind: 'createConsumer',
    name,
    action: random.pick(['create', 'create', 'update', '']),
    settings: {
      durable_name: name,
      name,
      ack_policy: random.pick(['explicit', 'explicit', 'explicit', 'none']),
      deliver_policy: policy,
      ...(policy === 'by_start_sequence' ? { opt_start_seq: sequence(random) } : {}),
      ...(several
        ? {
            filter_subjects: random.pick([
              ['s.a.x', 's.b.x'],
              ['s.a.*', 'q.>'],
            ]),
          }
        : {}),
      ...(!several && random.chance(0.6) ? { filter_subject: random.pick(FILTERS) } : {}),
      max_ack_pending: random.pick([1_000, 2]),
      ...(backoff ? { backoff: [timeout, 2 * timeout], max_deliver: -1 } : { ack_wait: timeout }),
      ...(!backoff && random.chance(0.2) ? { max_deliver: 2 } : {}),
      ...(isPinned ? { priority_groups: ['g'], priority_policy: 'pinned_client', priority_timeout: timeout } : {}),
    },
  };
}

function pull(random: Random, { isSlow }: Pace, replicas: number): Operation {
  return {
    kind: 'pull',
    name: random.pick(NAMES),
    usesPin: random.chance(0.5),
    request: {
      batch: random.pick([1, 2, 5]),
      // Without an end, the answer would depend on a count that the server only estimates.
      ...(isSlow || random.chance(0.7) ? { no_wait: true, expires: 60_000_000 } : { expires: 150_000_000 }),
      ...(random.chance(0.5) ? { group: 'g' } : {}),
      // Replicas tell of it before they deliver what comes first, or behind it.
      ...(replicas === 1 && random.chance(0.1) ? { max_bytes: 60 } : {}),
    },
  };
}

function read(random: Random): Operation {
  const filter = random.pick([...FILTERS, ...SUBJECTS]);
  const request = random.pick<object>([
    { seq: sequence(random) },
    { last_by_subj: filter },
    { next_by_subj: filter, seq: sequence(random) },
    { next_by_subj: filter },
    { seq: 1, last_by_subj: filter },
    {},
  ]);
  if (random.chance(0.5)) return { kind: 'get', request };
  if (random.chance(0.3)) return { kind: 'directGet', subject: filter };
  const multi = {
    multi_last: random.pick([[filter], ['s.a.*', 'q.>'], SUBJECTS]),
    ...(random.chance(0.3) ? { batch: 2 } : {}),
    ...(random.chance(0.3) ? { up_to_seq: sequence(random) } : {}),
  };
  return { kind: 'directGet', request: random.chance(0.5) ? multi : request };
}

function purge(random: Random): Operation {
  return {
    kind: 'purge',
    request: random.pick<object>([
      {},
      { filter: random.pick(FILTERS) },
      { filter: random.pick(SUBJECTS), keep: 1 },
      { filter: random.pick(FILTERS), seq: sequence(random) },
    ]),
  };
}

function acknowledge(random: Random, { timeoutMs }: Pace): Operation {
  const delay = `-NAK {"delay":${timeoutMs * 1_000_000}}`;
  const body = random.pick(['+ACK', '+ACK', '', '-NAK', delay, '+WPI', '+TERM']);
  return { kind: 'acknowledge', at: random.below(4), body };
}

/** The same seed gives the same operations. */
export function drawOperations(seed: number, count: number, replicas: number): Operation[] {
  const random = new Random(seed);
  const pace = seed % 3 === 0 ? SLOW : FAST;
  const weighed: [number, () => Operation][] = [
    [40, () => publish(random, pace)],
    [4, () => ({ kind: 'burst', publishes: Array.from({ length: 4 }, () => publish(random, pace)) })],
    [20, () => read(random)],
    [4, () => ({ kind: 'deleteMessage', sequence: sequence(random) })],
    [3, () => purge(random)],
    [4, () => ({ kind: 'info', filter: random.chance(0.5) ? random.pick(FILTERS) : undefined })],
    [1, () => ({ kind: 'recreate', settings: settings(random, replicas) })],
    [1, () => ({ kind: 'updateStream', settings: settings(random, replicas) })],
    [8, () => consumer(random, pace)],
    [8, () => ({ kind: 'consumerInfo', name: random.pick(NAMES) })],
    [2, () => ({ kind: 'deleteConsumer', name: random.pick(NAMES) })],
    [2, () => ({ kind: 'unpin', name: random.pick(NAMES) })],
    [20, () => pull(random, pace, replicas)],
    [20, () => acknowledge(random, pace)],
  ];
  const total = weighed.reduce((sum, [weight]) => sum + weight, 0);
  const operations: Operation[] = [
    { kind: 'recreate', settings: settings(random, replicas) },
    consumer(random, pace),
    consumer(random, pace),
  ];
  while (operations.length < (pace.isSlow ? count / 3 : count)) {
    let at = random.next() * total;
    const [, draw] = weighed.find(([weight]) => (at -= weight) < 0) ?? weighed[0]!;
    operations.push(draw());
    if (pace.isSlow && operations.length % SEGMENT === 0) operations.push({ kind: 'wait', ms: WAIT_MS });
  }
  return operations;
}
