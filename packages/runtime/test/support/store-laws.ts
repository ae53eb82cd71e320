/** What must hold of any history of stores: their log is exact, and what they told is what it says. */
import { HEADERS, parseSubject, type HistoryEvent } from '@meshforge/protocol';
import { expect } from 'vitest';
import type { Entity } from '../../src/core/entity.ts';
import type { StoreOutcome } from '../../src/core/outcome.ts';
import { bodyDigest } from '../../src/nats/digest.ts';
import type { ReadResult } from '../../src/nats/entity-reader.ts';
import { entityHistory } from '../../src/store/entity-history.ts';
import type { StoredInStream } from '../simulated-stream.ts';
import { commandOf, counter, PUT_BACK, type Drawn, type Made, type Ran, type Told } from './store-history.ts';

interface State {
  n: number;
  held: boolean;
}

interface Logged {
  entityId: string;
  sequence: number;
  kind: 'commit' | 'unchanged' | 'record' | 'expiry';
  event: string;
  slot: number | 'x' | undefined;
  checkedAt: number;
  commandId: string;
  bodyDigest: string;
  mark: number;
  payload: string;
  version: number;
  state: State | null;
  refusal: { kind: string; payload: object } | undefined;
}

/** An entity as its log says, made of the messages one by one: the law, beside which the runtime's reader is held. */
interface Folded {
  /** Of its last message. */
  sequence: number;
  version: number;
  state: State | null;
  /** Version of the lease that stands. */
  lease: number | undefined;
  mark: number;
}

const NOBODY: Folded = { sequence: 0, version: 0, state: null, lease: undefined, mark: 0 };

export async function expectLawful(drawn: Drawn, ran: Ran): Promise<void> {
  const log = ran.stream.history.map(logged);
  const entities = checkLog(drawn, log);
  for (const { entityId, sequence } of ran.marks) {
    expect(last(entities, entityId).mark, 'a mark that was moved stands').toBeGreaterThanOrEqual(sequence);
  }
  for (const each of ran.told) checkTold(each, ran.told, log);
  for (const { entity, entityId, sequence } of ran.seen) checkSeen(entity, last(entities, entityId, sequence));
  for (const entityId of entities.keys()) {
    const ended = last(entities, entityId);
    expect(ended.lease, 'each lease has ended').toBeUndefined();
    checkSeen(await ran.reader.entity(entityId, true), ended);
  }
  for (const entityId of entities.keys()) await checkHistory(ran, entityId, log);
  await askAgain(ran, log);
}

/** The history holds each commit that is still in the log, newest first, and is the same when it is read in pages. */
async function checkHistory({ reader, stream }: Ran, entityId: string, log: readonly Logged[]): Promise<void> {
  const read = async (limit: number, before: number): Promise<HistoryEvent[]> => {
    const found = await entityHistory(counter, reader, entityId, limit, before);
    if (found.kind !== 'read') return expect.unreachable(found.why);
    return found.value ?? [];
  };
  const whole = await read(1_000, Infinity);
  const isCommit = ({ event }: HistoryEvent): boolean => event !== 'evt.counter.expired';
  const kept = new Set(stream.messages.map(({ sequence }) => sequence));
  const commits = log.filter((each) => each.entityId === entityId && each.kind === 'commit' && kept.has(each.sequence));
  expect(
    whole.filter(isCommit).map(({ entity_version: version, command_id: id, state }) => ({ version, id, state })),
  ).toEqual(commits.map(({ version, commandId: id, state }) => ({ version, id, state })).toReversed());
  const paged: HistoryEvent[] = [];
  for (let page = await read(3, Infinity); page.length > 0; page = await read(3, page.at(-1)?.entity_version ?? 0)) {
    expect(page.length).toBeLessThanOrEqual(3);
    paged.push(...page);
  }
  expect(paged).toEqual(whole);
}

/** The entity as its log was up to a sequence. */
function last(entities: ReadonlyMap<string, readonly Folded[]>, entityId: string, sequence = Infinity): Folded {
  return entities.get(entityId)?.findLast((each) => each.sequence <= sequence) ?? NOBODY;
}

function checkSeen(read: ReadResult<Entity>, { lease, ...law }: Folded): void {
  expect(read).toMatchObject({ kind: 'read', value: { ...law, mark: { sequence: law.mark } } });
  expect(read.kind === 'read' && read.value.lease?.version, 'a lease stands until its own expiry').toBe(lease);
}

function logged({ checkedAt, data, headers, sequence, subject }: StoredInStream): Logged {
  const payload = new TextDecoder().decode(data);
  const body = JSON.parse(payload) as { entity_version: number; state: State | null; refusal?: Logged['refusal'] };
  const place = parseSubject(subject);
  if (place?.kind !== 'entity' && place?.kind !== 'record') throw new Error(`${subject} is no place in a log`);
  const slot = place.kind === 'entity' ? place.slot : undefined;
  const isUnchanged = headers.has(HEADERS.unchanged);
  const kind = place.kind === 'record' ? 'record' : slot === 'x' ? 'expiry' : isUnchanged ? 'unchanged' : 'commit';
  return {
    entityId: place.entityId,
    sequence,
    kind,
    event: place.kind === 'entity' ? place.event : '',
    slot,
    checkedAt,
    commandId: headers.get(HEADERS.commandId),
    bodyDigest: headers.get(HEADERS.body),
    mark: parseInt(headers.get(HEADERS.mark) || '0', 36),
    payload,
    version: body.entity_version,
    state: body.state,
    refusal: body.refusal,
  };
}

/** Each entity after each of its messages. */
function checkLog({ commands }: Drawn, log: readonly Logged[]): Map<string, Folded[]> {
  const entities = new Map<string, Folded[]>();
  const decided = new Set<string>();
  for (const message of log) {
    const { commandId, entityId, kind, mark, sequence, state, version } = message;
    const own = entities.get(entityId) ?? [];
    entities.set(entityId, own);
    const before = own.at(-1) ?? NOBODY;
    if (kind === 'expiry') {
      own.push({ ...afterExpiry(before, message), sequence });
      continue;
    }
    const made = commands.find(({ id }) => id === commandId);
    if (commandId !== '') {
      expect(decided.has(commandId), `I5: ${commandId} is decided once`).toBe(false);
      decided.add(commandId);
    }
    if (made?.queued === undefined && commandId !== '') {
      expect(kind, 'a refused request writes nothing').not.toBe('record');
      expect(mark, 'a request does not move the mark').toBe(before.mark);
    } else {
      // At or below the mark, a durable command is decided no more.
      expect(mark, 'each durable command has moved the mark').toBeGreaterThan(before.mark);
      if (made?.queued !== undefined) expect([made.queued, made.queued + PUT_BACK]).toContain(mark);
    }
    // A replicated stream can take in behind an expiry what was decided before it.
    const decidedOn = last(entities, entityId, message.checkedAt).state;
    if (kind === 'commit') {
      expect(version, 'I1: versions are gapless').toBe(before.version + 1);
      expect(JSON.stringify(state), 'I1: each state follows from the one before').toBe(
        afterCommit(decidedOn, made ?? CROWD, message),
      );
      const lease = made?.action === 'hold' ? version : undefined;
      expect(message.slot, 'the slot of a lease is its version').toBe(lease ?? 0);
      own.push({ sequence, version, state, lease, mark });
    } else {
      expect(version, `a ${kind} repeats the version`).toBe(before.version);
      expect(state, `a ${kind} repeats the state`).toEqual(decidedOn);
      own.push({ ...before, sequence, mark });
    }
  }
  return entities;
}

const CROWD = { action: 'count', by: 0 } as const;

/** An expiry counts only for the lease that stands. */
function afterExpiry(before: Folded, { version }: Logged): Folded {
  if (before.lease !== version) return before;
  const { state } = before;
  return { ...before, lease: undefined, state: state && { ...state, held: false } };
}

/** The state that a commit makes, as JSON; undefined where it must not be there. */
function afterCommit(
  state: State | null,
  { action, by }: Pick<Made, 'action' | 'by'>,
  message: Logged,
): string | undefined {
  const isMisused = message.bodyDigest !== bodyDigest([action, { by }]);
  const much = isMisused ? by + 100 : by;
  if (action === 'create') return state === null ? JSON.stringify({ n: 0, held: false }) : undefined;
  if (action === 'count') return JSON.stringify({ n: state?.n ?? 0, held: false });
  if (action === 'hold') return JSON.stringify({ n: state?.n ?? 0, held: true });
  if (state === null || (action === 'drop' && !state.held)) return undefined;
  if (action === 'drop') return JSON.stringify({ n: state.n, held: false });
  return JSON.stringify(action === 'delete' ? null : { n: state.n + much, held: false });
}

function checkTold({ how, made, outcome }: Told, all: readonly Told[], log: readonly Logged[]): void {
  const { bodyDigest: digest, commandId, queued } = commandOf(made);
  const own = log.filter((message) => message.commandId === commandId && message.kind !== 'expiry');
  const [found] = own;
  switch (outcome.kind) {
    case 'committed':
    case 'replayed':
      expect(found?.kind, `I2: ${commandId} was acknowledged`).toMatch(/^(?:commit|unchanged)$/);
      expect(found?.bodyDigest, 'I5: an outcome is that of the same command').toBe(digest);
      expect([found?.payload, found?.event]).toEqual([outcome.payload, outcome.event]);
      return;
    case 'conflict':
    case 'rejected':
    case 'denied':
      if (outcome.code === 'invalid_command') {
        expect(found?.bodyDigest, 'an id is misused only where another command had it').not.toBe(digest);
        expect(found).toBeDefined();
      } else if (queued !== undefined) {
        expect(found?.refusal, 'what a durable command was told is in the log').toEqual({
          kind: outcome.kind,
          payload: JSON.parse(outcome.payload) as object,
        });
      } else {
        expectNotThere(outcome, commandId, all, found);
      }
      return;
    case 'decided_before':
      if (outcome.isCommitted) expect(found?.kind).toMatch(/^(?:commit|unchanged)$/);
      else expect(own.some(({ mark }) => mark === queued?.sequence)).toBe(false);
      if (!outcome.isCommitted && how !== 'put_back') expect(queued).toBeDefined();
      return;
    case 'unavailable':
      expectNotThere(outcome, commandId, all, found);
      return;
    case 'deferred':
    case 'abandoned':
      expect.unreachable(`${commandId} was answered ${outcome.kind}`);
  }
}

/** A copy of the command may have been decided at another time, but then that was told. */
function expectNotThere(outcome: StoreOutcome, commandId: string, all: readonly Told[], found?: Logged): void {
  const wasTold = all.some(
    ({ made, outcome: other }) =>
      made.id === commandId && other.kind !== 'unavailable' && !isRequestRefused(made, other),
  );
  expect(found !== undefined && !wasTold, `I2: ${outcome.kind}, yet ${commandId} is in the stream`).toBe(false);
}

function isRequestRefused({ queued }: Made, { kind }: StoreOutcome): boolean {
  return queued === undefined && (kind === 'conflict' || kind === 'rejected' || kind === 'denied');
}

/** What was told is told again, by a replica that knows nothing but the log. */
async function askAgain({ fresh, stream, told }: Ran, log: readonly Logged[]): Promise<void> {
  const length = stream.history.length;
  for (const { made, outcome } of told) {
    const isDecided = outcome.kind === 'committed' || outcome.kind === 'replayed';
    const isRecorded = made.queued !== undefined && (outcome.kind === 'conflict' || outcome.kind === 'rejected');
    if (!isDecided && !isRecorded) continue;
    const again = await fresh.execute(commandOf(made));
    if (again.kind === 'decided_before') {
      const found = log.find(({ commandId, kind }) => commandId === made.id && kind !== 'expiry') as Logged;
      const since = log.filter(({ entityId, kind, sequence }) => {
        return entityId === made.entityId && kind !== 'expiry' && sequence > found.sequence;
      });
      expect(again.isCommitted).toBe(true);
      expect(since.length, 'an outcome is forgotten only after 32 others').toBeGreaterThanOrEqual(32);
      expect(stream.messages.some(({ sequence }) => sequence === found.sequence)).toBe(false);
      continue;
    }
    const kind = isDecided ? 'replayed' : outcome.kind;
    expect(again).toMatchObject({ kind, event: 'event' in outcome ? outcome.event : '' });
    expect((again as { payload: string }).payload).toBe((outcome as { payload: string }).payload);
  }
  expect(stream.history, 'asking again writes nothing').toHaveLength(length);
}
