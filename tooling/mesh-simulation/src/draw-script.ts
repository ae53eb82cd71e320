import { Random } from '@meshforge/simulated-nats';
import type { AgentName } from './agents.ts';
import { GARBAGE } from './garbage.ts';
import { isDeed } from './script.ts';
import type { Cast, Deed, Fault, Ruin, Script, Step, StreamName, Target, Traffic } from './script.ts';

const ENTITIES = ['a', 'b'];
const LOCKS = ['x', 'y'];
const OWNERS = ['ann', 'bob', 'cy'];

/** In which part of a history faults fall, in milliseconds. */
const FAULTS_UNTIL_MS = 14_000;
const DEEDS_UNTIL_MS = 12_000;
const SPANS_MS = [1, 10, 200, 700, 1_100, 2_500, 6_000];

/** The same seed gives the same history. */
export function drawScript(seed: number): Script {
  const random = new Random(seed);
  const cast = drawCast(random);
  const steps: Step[] = [];
  const kinds = drawKinds(random, cast);
  const at = (until: number): number => Math.floor(random.next() * until);
  // Some histories are short and dense, so that things meet.
  const density = random.pick([0.15, 0.5, 1]);
  const deeds = 4 + random.below(30);
  for (let count = 0; count < deeds; count++) {
    steps.push({ at: at(DEEDS_UNTIL_MS * density), ...drawDeed(random, cast, kinds.deeds) });
  }
  const faults = random.chance(0.1) ? 0 : random.below(random.pick([3, 8, 16]));
  for (let count = 0; count < faults; count++) {
    const step = { at: at(FAULTS_UNTIL_MS * density), ...drawFault(random, cast, kinds.faults) };
    steps.push(step);
  }
  if (random.chance(0.06)) steps.push({ at: at(FAULTS_UNTIL_MS * density), ...drawRuin(random, cast) });
  steps.sort((one, other) => one.at - other.at);
  const isCalm = steps.every(isDeed);
  return { seed, cast, steps: steps.filter((step) => isCalm || !isHarmful(step)) };
}

function isHarmful(step: Step): boolean {
  return step.kind === 'garbage' && GARBAGE[step.shape % GARBAGE.length]?.isHarmful === true;
}

function drawCast(random: Random): Cast {
  const nodes = random.chance(0.5) ? 3 : 1;
  const focus = random.pick(['stock', 'stock', 'lock', 'reaction', 'all'] as const);
  const replicas = (): number => 1 + random.below(3);
  const withStock = focus !== 'lock' || random.chance(0.3);
  const withReaction = focus === 'reaction' || focus === 'all';
  return {
    nodes,
    stock: withStock || withReaction ? replicas() : 0,
    journal: withReaction ? 1 + random.below(2) : 0,
    lock: focus === 'lock' || focus === 'all' ? replicas() : 0,
    reactors: withReaction ? 1 + random.below(2) : 0,
    clients: 1 + random.below(3),
  };
}

interface Kinds {
  deeds: readonly Deed['kind'][];
  faults: readonly Fault['kind'][];
}

/** Some kinds are missing in each history, so that the others meet more often. */
function drawKinds(random: Random, cast: Cast): Kinds {
  const some = <T>(all: readonly T[]): readonly T[] => {
    if (random.chance(0.4)) return [random.pick(all), random.pick(all)];
    const kept = all.filter(() => random.chance(0.6));
    return kept.length === 0 ? [random.pick(all)] : kept;
  };
  const deeds: Deed['kind'][] = [];
  if (cast.stock > 0) {
    deeds.push(
      'garbage',
      'request',
      'request',
      'request',
      'send',
      'send',
      'send',
      'update',
      'repeat',
      'close',
      'sendBoom',
      'read',
    );
  }
  if (cast.lock > 0) deeds.push('lock', 'lock', 'lock', 'lockCommand', 'lockCommand', 'lockCommand', 'break');
  const faults: Fault['kind'][] = ['kill', 'kill', 'restart', 'freeze', 'freeze', 'slow', 'disconnect', 'disconnect'];
  faults.push(
    'disturb',
    'disturb',
    'disturb',
    'stopNode',
    'holdSchedules',
    'changeConsumerLeader',
    'redeliver',
    'jump',
  );
  if (cast.nodes === 3) faults.push('changeLeader', 'changeLeader', 'stall', 'stall', 'lag');
  return { deeds: some(deeds), faults: some(faults) };
}

function drawDeed(random: Random, cast: Cast, kinds: readonly Deed['kind'][]): Deed {
  const kind = random.pick(kinds);
  const client = random.below(cast.clients);
  const entity = random.pick(ENTITIES);
  const lock = random.pick(LOCKS);
  const by = random.pick([1, 1, 1, 2, -1, -2]);
  switch (kind) {
    case 'request': {
      const expectsOff = random.chance(0.3) ? random.pick([0, 0, 0, -1, 1]) : undefined;
      const under = cast.lock > 0 && random.chance(0.3) ? lock : undefined;
      return { kind, client, entity, by, expectsOff, lock: under, deadlineMs: drawDeadline(random) };
    }
    case 'close':
    case 'sendBoom':
      return { kind, client, entity };
    case 'repeat':
      return { kind, client, which: random.below(3), isDurable: random.chance(0.3) };
    case 'send': {
      const afterMs = random.chance(0.3) ? random.pick([300, 900, 2_000, 5_000]) : 0;
      const cancels = afterMs > 0 && random.chance(0.5);
      const cancelAfterMs = cancels ? Math.max(0, afterMs + random.pick([-300, -5, 0, 10, 40, 80, 300])) : undefined;
      return { kind, client, entity, by, afterMs, cancelAfterMs, deadlineMs: drawDeadline(random) };
    }
    case 'update':
      return { kind, client, entity, by };
    case 'lock': {
      const ttlMs = random.pick([500, 1_000, 2_000, 5_000]);
      const waitMs = random.pick([0, 1_000, 5_000, 15_000]);
      const holdMs = random.pick([0, 50, 400, 1_500, 4_000]);
      return { kind, client, lock, waitMs, ttlMs, holdMs, writes: cast.stock > 0 && random.chance(0.5) };
    }
    case 'lockCommand': {
      const action = random.pick(['acquire', 'acquire', 'refresh', 'refresh', 'release', 'cancel'] as const);
      const waitMs = action === 'acquire' ? random.pick([0, 0, 2_000, 8_000]) : 0;
      const owner = random.pick(OWNERS);
      const ttlMs = random.pick([500, 700, 1_000, 3_000]);
      return { kind, client, lock, action, owner, ttlMs, waitMs, isDurable: waitMs === 0 && random.chance(0.15) };
    }
    case 'break':
      return { kind, client, lock };
    case 'garbage':
      return { kind, client, shape: random.below(12) };
    case 'read':
      return { kind, client, entity, what: random.pick(['get', 'list', 'history'] as const) };
  }
}

function drawDeadline(random: Random): number | undefined {
  return random.chance(0.25) ? random.pick([100, 600, 2_500]) : undefined;
}

function drawTarget(random: Random, cast: Cast): Target {
  const roles: AgentName[] = ['stock', 'journal', 'lock'];
  const agents = roles.flatMap((role) => Array.from({ length: cast[role] }, (_, at) => ({ role, at })));
  const reactors = Array.from({ length: cast.reactors }, (_, at) => ({ role: 'reactor' as const, at }));
  const clients = Array.from({ length: cast.clients }, (_, at) => ({ role: 'client' as const, at }));
  return random.pick<Target>([...agents, ...agents, ...reactors, ...reactors, ...clients]);
}

function drawStream(random: Random, cast: Cast): StreamName {
  const streams: StreamName[] = ['deadLetters'];
  if (cast.stock > 0) streams.push('stock', 'stockQueue', 'stock', 'stockQueue');
  if (cast.journal > 0) streams.push('journal', 'journalQueue');
  if (cast.lock > 0) streams.push('lock', 'lock', 'lockQueue');
  return random.pick(streams);
}

const TRAFFIC: Traffic[] = [
  'commit',
  'commit',
  'read',
  'pull',
  'acknowledgement',
  'delivery',
  'command',
  'durable',
  'letter',
];

function drawFault(random: Random, cast: Cast, kinds: readonly Fault['kind'][]): Fault {
  const kind = random.pick(kinds);
  const target = drawTarget(random, cast);
  const stream = drawStream(random, cast);
  const ms = random.pick(SPANS_MS);
  switch (kind) {
    case 'kill':
      return { kind, target, downMs: random.pick([1, 300, 2_000, 5_000]), unnoticedMs: random.pick([0, 0, 3_000]) };
    case 'restart':
      return { kind, target };
    case 'freeze':
      return { kind, target, ms };
    case 'slow':
      return { kind, target, ms, extraMs: random.pick([20, 200, 900]) };
    case 'disconnect':
      return { kind, target, loses: random.chance(0.5), unnoticedMs: random.pick([0, 0, 2_000]) };
    case 'disturb': {
      const what = random.pick([...TRAFFIC, 'delete', 'api'] as const);
      const how = random.pick(['lose', 'lose', 'delay', 'double'] as const);
      const side = random.pick(['request', 'answer', 'answer'] as const);
      return { kind, target, what, side, how, times: random.pick([1, 1, 2, 5]), delayMs: ms };
    }
    case 'stopNode':
      return { kind, node: random.below(cast.nodes), downMs: random.pick([50, 500, 2_500]) };
    case 'changeLeader':
      return { kind, stream, gapMs: random.pick([5, 200, 1_500]), deposedMs: random.pick([0, 0, 300]) };
    case 'stall':
      return { kind, stream, ms };
    case 'lag':
      return { kind, stream, node: random.below(cast.nodes), ms };
    case 'holdSchedules':
      return { kind, stream, ms };
    case 'changeConsumerLeader':
      return { kind, stream, gapMs: random.pick([5, 200, 1_500]) };
    case 'redeliver':
      return { kind, stream };
    case 'jump':
      return { kind, target, ms: random.pick([-3_600_000, -2_000, 2_000, 3_600_000]) };
    case 'deleteStream':
    case 'restoreStream':
    case 'deleteConsumer':
    case 'purgeEntity':
      return drawRuin(random, cast);
  }
}

function drawRuin(random: Random, cast: Cast): Ruin {
  const stream = drawStream(random, cast);
  switch (random.pick(['deleteStream', 'restoreStream', 'deleteConsumer', 'purgeEntity'] as const)) {
    case 'deleteStream':
      return { kind: 'deleteStream', stream, recreates: random.chance(0.7) };
    case 'restoreStream':
      return { kind: 'restoreStream', stream, backupAgoMs: random.pick([500, 2_000, 6_000]) };
    case 'deleteConsumer':
      return { kind: 'deleteConsumer', stream };
    case 'purgeEntity':
      return cast.lock > 0
        ? { kind: 'purgeEntity', agent: 'lock', entity: random.pick(LOCKS) }
        : { kind: 'purgeEntity', agent: 'stock', entity: random.pick(ENTITIES) };
  }
}
