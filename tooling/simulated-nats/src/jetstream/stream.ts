import { HeaderBlock } from '../headers.ts';
import { jsonBytes } from '../message.ts';
import { isMatch, subjectMapping, type Mapping } from '../subjects.ts';
import type { Cancel } from '../time.ts';
import type { StreamSettings } from './config.ts';
import type { Consumer } from './consumer.ts';
import { deleteFailed, sequenceNotFound, wrongLastId, type ApiError } from './errors.ts';
import { FollowerLag } from './follower-lag.ts';
import { MessageIds } from './message-ids.ts';
import { checkAlone, checkReplicated, ttlOf, type CheckedStream, type Inbound } from './publish-checks.ts';
import { Replication } from './replication.ts';
import { scheduleTime, Schedules } from './schedules.ts';
import { MessageStore, type StoredMessage } from './store.ts';
import type { Surroundings } from './surroundings.ts';
import { nanoTime } from './times.ts';

const NO_HEADERS = HeaderBlock.of([]);

interface SubjectInFlight {
  count: number;
  isSchedule: boolean;
}

/** A stream, as the server that leads it sees it. */
export class Stream {
  settings: StreamSettings;
  readonly created: number;
  readonly store: MessageStore;
  readonly consumers = new Map<string, Consumer>();
  readonly replication: Replication;
  readonly lag: FollowerLag;
  readonly #around: Surroundings;
  readonly #ids: MessageIds;
  readonly #schedules: Schedules;
  readonly #expected = new Map<string, number>();
  readonly #inFlight = new Map<string, SubjectInFlight>();
  readonly #endings = new Set<Cancel>();
  #mapping: Mapping | undefined;
  #lastId = '';
  #lastMicros = 0;
  /** Nobody leads it until then. */
  #leaderlessUntil = 0;
  isDeleted = false;
  /** It stores nothing any more, and says nothing about it. */
  isBroken = false;

  constructor(settings: StreamSettings, around: Surroundings) {
    this.settings = settings;
    this.#around = around;
    this.created = around.time.now;
    this.store = new MessageStore(settings.first_seq ?? 1);
    this.replication = new Replication({ ...around, isReplicated: settings.num_replicas > 1 });
    this.lag = new FollowerLag(around, this.isReplicated ? settings.num_replicas : 0);
    this.#ids = new MessageIds(settings.duplicate_window / 1_000_000);
    this.#schedules = new Schedules(around.time, (sequences) => this.#fire(sequences));
    this.applySettings(settings);
  }

  get name(): string {
    return this.settings.name;
  }

  get isReplicated(): boolean {
    return this.replication.isReplicated;
  }

  get isLed(): boolean {
    return !this.isDeleted && this.#around.time.now >= this.#leaderlessUntil;
  }

  get isEmpty(): boolean {
    return this.store.count === 0;
  }

  captures(subject: string): boolean {
    return this.settings.subjects.some((filter) => isMatch(subject, filter));
  }

  applySettings(settings: StreamSettings): void {
    this.settings = settings;
    const { republish } = settings;
    this.#mapping = republish === undefined ? undefined : subjectMapping(republish.src, republish.dest);
    for (const subject of this.store.subjects('>').keys()) this.#keepLimits(subject);
  }

  /** A client publishes to the stream, or a schedule fires. */
  publish(inbound: Inbound): void {
    if (!this.isLed || this.isBroken) return;
    const verdict = this.isReplicated
      ? checkReplicated(this.#checked(), inbound)
      : checkAlone(this.#checked(), inbound);
    const { reply } = inbound;
    if (verdict.kind === 'refused') {
      this.#answer(reply, { error: verdict.error, stream: this.name, seq: 0 });
    } else if (verdict.kind === 'duplicate') {
      this.#answer(reply, { stream: this.name, seq: verdict.sequence, duplicate: true });
    } else this.#propose(withRollup(inbound));
  }

  /** @returns why it cannot be done */
  deleteMessage(sequence: number, done: (error?: ApiError) => void): void {
    if (this.settings.deny_delete) return done(deleteFailed('message delete not permitted'));
    this.replication.propose(() => {
      const { firstSequence, lastSequence } = this.store;
      if (this.remove(sequence) !== undefined) done();
      else if (sequence > lastSequence) done(deleteFailed('stream store EOF'));
      else done(sequence < firstSequence ? deleteFailed('no message found') : sequenceNotFound(sequence));
    });
  }

  /** A consumer has no more use for a message of a work queue. */
  removeAcknowledged(sequence: number): void {
    if (this.settings.retention === 'limits' || this.isDeleted) return;
    if (this.store.at(sequence) === undefined) return;
    this.replication.propose(() => this.remove(sequence));
  }

  purge(wanted: { filter?: string; sequence?: number; keep?: number }, done: (purged: number) => void): void {
    this.replication.propose(() => done(this.purgeNow(wanted)));
  }

  purgeNow({ filter = '', keep = 0, sequence = 0 }: { filter?: string; sequence?: number; keep?: number }): number {
    const all = this.store.matching(filter === '' ? '>' : filter);
    const below = sequence > 0 ? all.filter((each) => each.sequence < sequence) : all;
    const doomed = keep > 0 ? below.slice(0, Math.max(0, all.length - keep)) : below;
    this.store.begin();
    const isCompaction = filter === '' && sequence > 0;
    if (doomed.length === 1 && !isCompaction) this.remove((doomed[0] as StoredMessage).sequence);
    else for (const each of doomed) this.#drop(each.sequence);
    if (filter === '' && sequence > this.store.lastSequence) this.store.advanceTo(sequence - 1);
    for (const consumer of this.consumers.values()) {
      if (doomed.length > 1 || isCompaction) consumer.countPending();
      consumer.purged(filter);
    }
    return doomed.length;
  }

  remove(sequence: number): StoredMessage | undefined {
    const message = this.#drop(sequence);
    if (message === undefined) return undefined;
    for (const consumer of this.consumers.values()) consumer.removed(message);
    return message;
  }

  /**
   * Another server leads the stream, after a while without any.
   * @param gapMs how long nobody leads it
   */
  changeLeader(gapMs: number): void {
    if (!this.isReplicated) return;
    this.#leaderlessUntil = this.#around.time.now + gapMs;
    this.replication.changeLeader();
    this.#expected.clear();
    this.#inFlight.clear();
    this.#ids.forgetInProcess();
    this.#around.time.after(gapMs, () => this.#schedules.changeLeader());
  }

  /** The server is late with schedules for so long. */
  holdSchedules(ms: number): void {
    this.#schedules.hold(ms);
  }

  /** The server of a stream without replicas stops, and comes back after so long. */
  restart(downMs: number): void {
    this.#leaderlessUntil = this.#around.time.now + downMs;
    this.#around.time.after(downMs, () => {
      this.rebuildIds();
      this.#schedules.changeLeader();
    });
  }

  /** What a server knows of message ids when it has read a stream from its disk. */
  rebuildIds(): void {
    this.#ids.clear();
    this.#lastId = '';
    for (const message of this.store.all()) {
      const id = message.headers?.get('Nats-Msg-Id') ?? '';
      if (id !== '') this.#ids.remember(id, message.sequence, message.micros / 1_000);
      if (message.sequence === this.store.lastSequence) this.#lastId = id;
    }
  }

  /** Puts a message of a backup back. */
  restore(message: StoredMessage): void {
    this.store.restore(message);
    this.#watch(this.store.at(message.sequence) as StoredMessage);
  }

  delete(): void {
    this.isDeleted = true;
    this.replication.stop();
    this.#schedules.stop();
    for (const cancel of this.#endings) cancel();
    for (const consumer of this.consumers.values()) consumer.delete();
    this.consumers.clear();
  }

  #checked(): CheckedStream {
    const { settings, store } = this;
    const seen: CheckedStream = {
      settings,
      count: store.count,
      lastSequence: store.lastSequence,
      lastId: this.#lastId,
      last: (filter) => store.last(filter),
      known: (id) => this.#ids.find(id, this.#around.time.now),
    };
    if (!this.isReplicated) return seen;
    const inFlight = {
      expected: (filter: string) => this.#expected.has(filter),
      subject: (subject: string) => this.#inFlight.get(subject),
    };
    return { ...seen, inFlight };
  }

  #propose(inbound: Inbound): void {
    const micros = this.#nextMicros();
    if (!this.isReplicated) return this.#store(inbound, micros, true);
    const { headers, subject } = inbound;
    const expects = !inbound.isFired && (headers?.get('Nats-Expected-Last-Subject-Sequence') ?? '') !== '';
    const filter = headers?.get('Nats-Expected-Last-Subject-Sequence-Subject') || subject;
    const id = headers?.get('Nats-Msg-Id') ?? '';
    if (expects) this.#expected.set(filter, (this.#expected.get(filter) ?? 0) + 1);
    if (id !== '') this.#ids.remember(id, 0, this.#around.time.now);
    const known = this.#inFlight.get(subject);
    const isSchedule = !inbound.isFired && headers?.has('Nats-Schedule') === true;
    this.#inFlight.set(subject, { count: (known?.count ?? 0) + 1, isSchedule });
    this.replication.propose((isOwn) => {
      if (isOwn) this.#landed(subject, expects ? filter : undefined);
      this.#store(inbound, micros, isOwn);
    });
  }

  /** A message that was in flight is stored. */
  #landed(subject: string, filter: string | undefined): void {
    const inFlight = this.#inFlight.get(subject);
    if (inFlight !== undefined && --inFlight.count === 0) this.#inFlight.delete(subject);
    if (filter !== undefined) this.#expected.delete(filter);
  }

  #store(inbound: Inbound, micros: number, isOwn: boolean): void {
    if (this.isDeleted || this.isBroken) return;
    const { data, headers, reply, subject } = inbound;
    const id = headers?.get('Nats-Msg-Id') ?? '';
    const expectedId = inbound.isFired ? '' : (headers?.get('Nats-Expected-Last-Msg-Id') ?? '');
    if (this.isReplicated && expectedId !== '' && expectedId !== this.#lastId) {
      // The one refusal that comes after the leader has taken a message in: the replicas never agree again.
      this.isBroken = true;
      if (isOwn) this.#answer(reply, { error: wrongLastId(this.#lastId), stream: this.name, seq: 0 });
      return;
    }
    const target = this.#mapping?.(subject);
    const previous = target === undefined ? 0 : (this.store.last(subject)?.sequence ?? 0);
    const message = this.store.add(subject, headers, data, micros);
    this.#around.onStored(this, message);
    this.#watch(message);
    this.#lastId = id;
    if (id !== '') this.#ids.remember(id, message.sequence, message.micros / 1_000);
    this.#keepLimits(subject);
    if (this.settings.allow_rollup_hdrs && !this.settings.deny_purge) this.#rollUp(subject, headers);
    if (target !== undefined) this.#republish(target, message, previous);
    if (isOwn) this.#answer(reply, { stream: this.name, seq: message.sequence });
    for (const consumer of this.consumers.values()) consumer.stored(message);
    this.lag.changed(this.store.version);
    this.store.compact(this.lag.oldest);
  }

  #nextMicros(): number {
    this.#lastMicros = Math.max(this.#lastMicros + 1, Math.floor(this.#around.time.now * 1_000));
    return this.#lastMicros;
  }

  /** Looks after what a stored message asks for: a schedule, or a time to live. */
  #watch({ headers, micros, sequence, subject }: StoredMessage): void {
    if (this.settings.allow_msg_schedules === true) {
      const pattern = headers?.get('Nats-Schedule') ?? '';
      const at = pattern === '' ? undefined : scheduleTime(pattern);
      if (at === undefined) this.#schedules.removeSubject(subject);
      else this.#schedules.set(sequence, subject, at);
    }
    const text = headers?.get('Nats-TTL') ?? '';
    const ttlMs = text === '' ? undefined : ttlOf(text);
    if (ttlMs === undefined || ttlMs === Infinity || ttlMs === 0) return;
    const { random, time } = this.#around;
    const lateMs = random.between(0, 1_000);
    const cancel = time.at(micros / 1_000 + ttlMs + lateMs, () => {
      this.#endings.delete(cancel);
      this.replication.propose(() => this.remove(sequence));
    });
    this.#endings.add(cancel);
  }

  #keepLimits(subject: string): void {
    const { discard, max_age: maxAge, max_msgs: most, max_msgs_per_subject: mostOfSubject } = this.settings;
    if (mostOfSubject > 0) {
      const messages = this.store.matching(subject);
      for (const each of messages.slice(0, Math.max(0, messages.length - mostOfSubject))) this.remove(each.sequence);
    }
    if (most > 0 && discard === 'old') while (this.store.count > most) this.remove(this.store.firstSequence);
    if (maxAge <= 0) return;
    const oldest = (this.#around.time.now - maxAge / 1_000_000) * 1_000;
    for (;;) {
      const first = this.store.at(this.store.firstSequence);
      if (first === undefined || first.micros >= oldest) return;
      this.remove(first.sequence);
    }
  }

  #rollUp(subject: string, headers: HeaderBlock | undefined): void {
    if (headers === undefined) return;
    const rollup = headers.get('Nats-Rollup');
    if (rollup === 'sub') this.purgeNow({ filter: subject, keep: 1 });
    else if (rollup === 'all') this.purgeNow({ keep: 1 });
    const scheduler = headers.get('Nats-Scheduler');
    if (headers.get('Nats-Schedule-Next') === 'purge' && scheduler !== '') this.purgeNow({ filter: scheduler });
  }

  #republish(target: string, message: StoredMessage, previous: number): void {
    const { data, headers, micros, sequence, subject } = message;
    const own: [string, string | number][] = [
      ['Nats-Stream', this.name],
      ['Nats-Subject', subject],
      ['Nats-Sequence', sequence],
      ['Nats-Time-Stamp', nanoTime(micros)],
      ['Nats-Last-Sequence', previous],
    ];
    const block = (headers ?? NO_HEADERS).with(own);
    this.#around.send({ subject: target, reply: '', headers: block, data });
  }

  #drop(sequence: number): StoredMessage | undefined {
    const message = this.store.remove(sequence);
    if (message === undefined) return undefined;
    this.#schedules.remove(sequence);
    this.lag.changed(this.store.version);
    return message;
  }

  /** As the server writes what a schedule asks for. */
  #fire(sequences: readonly number[]): void {
    if (!this.isLed) return;
    for (const sequence of sequences) {
      const message = this.store.at(sequence);
      if (message === undefined) continue;
      const { data, subject } = message;
      const headers = message.headers ?? NO_HEADERS;
      let kept = headers.withoutPrefix('Nats-Schedule').withoutPrefix('Nats-Expected-');
      for (const name of ['Nats-Msg-Id', 'Nats-TTL', 'Nats-Rollup']) kept = kept.without(name);
      const own: [string, string][] = [
        ['Nats-Scheduler', subject],
        ['Nats-Schedule-Next', 'purge'],
      ];
      const ttl = headers.get('Nats-Schedule-TTL');
      if (ttl !== '') own.push(['Nats-TTL', ttl]);
      const target = headers.get('Nats-Schedule-Target');
      this.publish({ subject: target, reply: '', headers: kept.with(own), data, isFired: true });
    }
  }

  #answer(reply: string, body: object): void {
    if (reply === '') return;
    this.#around.send({ subject: reply, reply: '', headers: undefined, data: jsonBytes(body) });
  }
}

/** A schedule rolls its subject up. */
function withRollup(inbound: Inbound): Inbound {
  const { headers, isFired } = inbound;
  if (isFired || headers === undefined || !headers.has('Nats-Schedule') || headers.has('Nats-Rollup')) return inbound;
  return { ...inbound, headers: headers.with([['Nats-Rollup', 'sub']]) };
}
