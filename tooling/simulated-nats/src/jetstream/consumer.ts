import { HeaderBlock } from '../headers.ts';
import { textOf } from '../message.ts';
import { isMatch, isSubset } from '../subjects.ts';
import type { Cancel } from '../time.ts';
import { advisory } from './advisories.ts';
import { ConsumerState, floorAfter, type Pending } from './consumer-state.ts';
import { filtersOf, type ConsumerSettings } from './config.ts';
import { parsePull, PullQueue, statusMessage, type Pull } from './pulls.ts';
import { Replication } from './replication.ts';
import type { StoredMessage } from './store.ts';
import type { Stream, Surroundings } from './stream.ts';
import { timeOf } from './times.ts';

const NO_HEADERS = HeaderBlock.of([]);
const NS_PER_MS = 1_000_000;
/** How much later than due the server looks for what to deliver again. */
const LOOK_MS = 1;

/** A pull consumer, as the server that leads it works it. */
export class Consumer {
  settings: ConsumerSettings;
  readonly created: number;
  readonly stream: Stream;
  readonly replication: Replication;
  readonly #around: Surroundings;
  /** What is stored of it. */
  #stored: ConsumerState;
  readonly #pulls = new PullQueue();
  #filters: readonly string[] = [];
  #pending = new Map<number, Pending>();
  #redelivered = new Map<number, number>();
  /** To be delivered again, in this order. */
  #due: number[] = [];
  #next: number;
  #delivery = 1;
  #floor: { consumer: number; stream: number };
  /** Messages that were not delivered yet. */
  #toCome = 0;
  #pin = '';
  #pinnedAt = 0;
  #pins = 0;
  #cancelPin: Cancel = () => {};
  #cancelLook: Cancel = () => {};
  #lookAt = 0;
  #cancelWaiting: Cancel = () => {};
  #isServing = false;
  #mustServe = false;
  #leaderlessUntil = 0;
  #term = 0;
  isDeleted = false;

  constructor(stream: Stream, settings: ConsumerSettings, around: Surroundings, stored?: ConsumerState) {
    this.stream = stream;
    this.settings = settings;
    this.#around = around;
    this.created = around.time.now;
    const replicas = settings.num_replicas > 0 ? settings.num_replicas : stream.settings.num_replicas;
    this.replication = new Replication({ ...around, isReplicated: replicas > 1 });
    this.#filters = filtersOf(settings);
    const start = startOf(stream, settings, this.#filters);
    this.#stored = stored ?? new ConsumerState(start);
    this.#next = start;
    this.#floor = { ...this.#stored.ackFloor };
    if (stored === undefined) this.countPending();
    else this.#readStored();
  }

  get name(): string {
    return this.settings.name;
  }

  get isLed(): boolean {
    return !this.isDeleted && this.stream.isLed && this.#around.time.now >= this.#leaderlessUntil;
  }

  /** What a backup keeps of it. */
  get state(): ConsumerState {
    return this.#stored.copy();
  }

  get filters(): readonly string[] {
    return this.#filters;
  }

  get info(): object {
    this.#lookAtWaiting(false);
    const { ackFloor, delivered } = this.#stored;
    const { settings } = this;
    const groups = settings.priority_groups?.map((group) =>
      this.#pin === '' ? { group } : { group, pinned_client_id: this.#pin, pinned_ts: timeOf(this.#pinnedAt) },
    );
    return {
      stream_name: this.stream.name,
      name: this.name,
      created: timeOf(this.created),
      config: settings,
      delivered: { consumer_seq: delivered.consumer, stream_seq: delivered.stream },
      ack_floor: { consumer_seq: ackFloor.consumer, stream_seq: ackFloor.stream },
      num_ack_pending: this.#pending.size,
      num_redelivered: this.#redelivered.size,
      num_waiting: this.#pulls.length,
      num_pending: Math.max(0, this.#toCome),
      ts: timeOf(this.#around.time.now),
      ...(groups === undefined ? {} : { priority_groups: groups }),
    };
  }

  applySettings(settings: ConsumerSettings): void {
    const filters = filtersOf(settings);
    const isOther = filters.join() !== this.#filters.join();
    this.settings = settings;
    this.#filters = filters;
    if (isOther) this.countPending();
    this.serve();
  }

  pull(reply: string, data: Uint8Array): void {
    if (!this.isLed) return;
    const refuse = (status: string): void => this.#around.send(statusMessage(reply, status));
    const request = parsePull(textOf(data));
    if (request === undefined) return refuse('400 Bad Request - invalid JSON');
    const { batch = 0, expires = 0, group = '', id = '', no_wait: noWait = false } = request;
    const { idle_heartbeat: heartbeat = 0, max_bytes: bytes = 0 } = request;
    const { max_waiting: mostWaiting, priority_groups: groups = [], priority_policy: policy } = this.settings;
    if (heartbeat > 0 && heartbeat * 2 > expires) return refuse('400 Bad Request - heartbeat value too large');
    if (id !== '' && policy !== 'pinned_client') return refuse('400 Bad Request - Not a Pinned Client Priority consumer');
    if (policy !== undefined) {
      if (group === '') return refuse('400 Bad Request - Priority Group missing');
      if (!groups.includes(group)) return refuse('400 Bad Request - Invalid Priority Group');
      if (this.#pin !== '' && id === this.#pin) this.#keepPin(group);
      else if (this.#pin !== '' && id !== '') return refuse('423 Nats-Pin-Id mismatch');
    }
    if (noWait) {
      const there = Math.max(0, this.#toCome) + this.#due.length;
      if (there === 0 && expires === 0) return refuse('404 No Messages');
      if (there > 0 && there < this.#wanted()) return refuse('408 Requests Pending');
    }
    const { now } = this.#around.time;
    const heartbeatMs = heartbeat / NS_PER_MS;
    const pull: Pull = {
      reply,
      noWait,
      expires: expires === 0 ? 0 : now + expires / NS_PER_MS,
      heartbeatMs,
      heartbeatAt: now + heartbeatMs,
      left: batch,
      delivered: 0,
      bytes,
      pin: id,
      group,
    };
    if (this.#pulls.length >= mostWaiting) return heartbeat === 0 ? refuse('409 Exceeded MaxWaiting') : undefined;
    this.#pulls.add(pull);
    this.serve();
  }

  /** @param tokens of the subject behind the consumer's name: count, stream sequence, delivery */
  acknowledge(tokens: readonly string[], reply: string, data: Uint8Array): void {
    if (!this.isLed) return;
    const [count = 0, sequence = 0, delivery = 0] = tokens.map(Number);
    const body = textOf(data);
    const answer = (): void => this.#answer(reply);
    if (body === '' || body === '+ACK' || body === '+OK') this.#take(sequence, delivery, answer);
    else if (body.startsWith('+NXT')) {
      this.#take(sequence, delivery, () => {});
      this.pull(reply, new TextEncoder().encode(body.slice(4)));
    } else if (body.startsWith('-NAK')) {
      this.#refuse(sequence, delivery, count, body.slice(4).trim());
      answer();
    } else if (body === '+WPI') {
      const pending = this.#pending.get(sequence);
      if (pending !== undefined) {
        pending.at = this.#around.time.now;
        this.#record(pending.delivery, sequence, 1, pending.at);
      }
      answer();
    } else if (body.startsWith('+TERM')) {
      this.#take(sequence, delivery, answer);
      advisory(this.#around, 'consumer_terminated', this.stream.name, this.name, { stream_seq: sequence });
    }
  }

  /** Takes the pin from the client that has it. */
  unpin(): void {
    if (this.#pin === '') return;
    this.#forgetPin('admin');
    this.serve();
  }

  /** Delivers everything above the floor once more, or from a sequence on. */
  reset(sequence: number): number {
    const from = sequence > 0 ? sequence : this.#floor.stream + 1;
    this.#pending = new Map();
    this.#redelivered = new Map();
    this.#due = [];
    this.#next = from;
    this.#delivery = 1;
    this.#floor = { consumer: 0, stream: from - 1 };
    this.#stored = new ConsumerState(from);
    this.countPending();
    this.serve();
    return from;
  }

  /** The stream has a new message. */
  stored({ subject }: StoredMessage): void {
    if (!this.#isWanted(subject)) return;
    this.#toCome++;
    this.serve();
  }

  /** A message of the stream is gone. */
  removed({ sequence, subject }: StoredMessage): void {
    if (sequence >= this.#next && this.#isWanted(subject)) this.#toCome--;
    if (this.#pending.has(sequence)) this.#take(sequence, this.#pending.get(sequence)?.delivery ?? 0, () => {});
    else this.#redelivered.delete(sequence);
  }

  /** Messages of the stream were purged. */
  purged(filter: string): void {
    const isWhole = filter === '' || this.#filters.some((each) => isSubset(each, filter));
    const isWider = !isWhole && this.#isWanted(filter);
    if (!isWhole && !isWider) return;
    const { store } = this.stream;
    const first = isWider || filter === '' ? store.firstSequence : store.next(filter, 1)?.sequence;
    const start = first ?? store.lastSequence + 1;
    this.#next = Math.max(this.#next, start);
    for (const [sequence, { delivery }] of this.#pending) {
      if (sequence >= start && !(isWider && store.at(sequence) === undefined)) continue;
      this.#pending.delete(sequence);
      this.#redelivered.delete(sequence);
      this.#stored.wasAcknowledged(delivery, sequence);
      this.#floor.consumer = Math.max(this.#floor.consumer, delivery);
    }
    if (this.#floor.stream < start) this.#floor.stream = start - 1;
    if (this.#pending.size === 0) this.#floor = { consumer: this.#delivery - 1, stream: this.#next - 1 };
    this.#due = this.#due.filter((sequence) => this.#pending.has(sequence));
    this.#stored.skipTo(this.#next);
  }

  countPending(): void {
    this.#toCome = 0;
    for (const filter of this.#filters.length === 0 ? ['>'] : this.#filters) {
      this.#toCome += this.stream.store.countFrom(filter, this.#next);
    }
  }

  /** Another server leads it. Those who wait are told when it does. */
  changeLeader(gapMs: number): void {
    const { random, time } = this.#around;
    this.#leaderlessUntil = time.now + gapMs;
    const waiting = this.#pulls.all.map(({ reply }) => reply);
    this.#pulls.clear();
    if (this.replication.isReplicated) this.replication.changeLeader();
    this.#term++;
    this.#forgetPin(undefined);
    this.#due = [];
    this.#cancelLook();
    this.#lookAt = 0;
    time.after(gapMs, () => {
      if (this.isDeleted) return;
      this.#readStored();
      this.#lookAfter(random.between(500, 1_500));
      if (!this.replication.isReplicated) return;
      for (const reply of waiting) this.#around.send(statusMessage(reply, '409 Leadership Change'));
    });
  }

  delete(): void {
    this.isDeleted = true;
    this.replication.stop();
    this.#cancelLook();
    this.#cancelPin();
    this.#cancelWaiting();
    for (const { reply } of this.#pulls.all) this.#around.send(statusMessage(reply, '409 Consumer Deleted'));
    this.#pulls.clear();
  }

  /** Delivers what there is to those who wait. */
  serve(): void {
    this.#mustServe = true;
    if (this.#isServing || !this.isLed) return;
    this.#isServing = true;
    while (this.#mustServe) {
      this.#mustServe = false;
      const isFull = this.#serveAll();
      this.#lookAtWaiting(!isFull);
    }
    this.#isServing = false;
  }

  /** @returns whether too many messages are in the hands of clients */
  #serveAll(): boolean {
    const most = this.settings.max_ack_pending;
    while (this.#pulls.length > 0) {
      let message = this.#nextDue();
      const isRepeat = message !== undefined;
      if (message === undefined) {
        if (most > 0 && this.#pending.size >= most) return true;
        message = this.#nextNew();
        if (message === undefined) return false;
      }
      const count = isRepeat ? (this.#redelivered.get(message.sequence) ?? 0) + 1 : 1;
      if (isRepeat) this.#redelivered.set(message.sequence, count);
      else this.#toCome--;
      const deliveries = isRepeat ? count + 1 : 1;
      const reply = this.#replyFor(message, deliveries);
      const pull = this.#nextPull(sizeOf(message, reply));
      if (pull === undefined) {
        if (isRepeat) {
          this.#redelivered.set(message.sequence, count - 1);
          this.#due.push(message.sequence);
        } else {
          this.#next = message.sequence;
          this.#toCome++;
        }
        return false;
      }
      this.#deliver(message, reply, deliveries, pull);
    }
    return false;
  }

  #nextDue(): StoredMessage | undefined {
    for (let sequence = this.#due.shift(); sequence !== undefined; sequence = this.#due.shift()) {
      const message = this.stream.store.at(sequence);
      const { max_deliver: most } = this.settings;
      const deliveries = (this.#redelivered.get(sequence) ?? 0) + 2;
      if (message !== undefined && (most < 1 || deliveries <= most)) return message;
      const pending = this.#pending.get(sequence);
      if (message !== undefined) {
        this.#redelivered.set(sequence, deliveries - 1);
        if (deliveries === most + 1) {
          advisory(this.#around, 'max_deliver', this.stream.name, this.name, { stream_seq: sequence });
        }
        if (pending === undefined) continue;
        this.#pending.delete(sequence);
        this.#moveFloor(pending.delivery, sequence);
      } else if (pending !== undefined) this.#take(sequence, pending.delivery, () => {});
    }
    return undefined;
  }

  #nextNew(): StoredMessage | undefined {
    const { store } = this.stream;
    const [filter = '>', ...others] = this.#filters;
    let found: StoredMessage | undefined;
    if (others.length === 0) found = filter === '>' ? store.nextOfAll(this.#next) : store.next(filter, this.#next);
    else {
      for (const each of this.#filters) {
        const candidate = store.next(each, this.#next);
        if (candidate !== undefined && candidate.sequence < (found?.sequence ?? Infinity)) found = candidate;
      }
    }
    const next = (found?.sequence ?? store.lastSequence) + 1;
    if (found === undefined && next > this.#next) this.#stored.skipTo(next);
    this.#next = Math.max(this.#next, next);
    return found;
  }

  #nextPull(size: number): Pull | undefined {
    const { now } = this.#around.time;
    const isPinned = this.settings.priority_policy === 'pinned_client';
    const needsPin = isPinned && this.#pin === '';
    let cycled = 0;
    for (let pull = this.#pulls.first; pull !== undefined; pull = this.#pulls.first) {
      const drop = (status: string): void => {
        this.#around.send(statusMessage(pull.reply, status, pull));
        this.#pulls.remove(pull);
      };
      if (pull.expires !== 0 && now >= pull.expires) {
        drop('408 Request Timeout');
        continue;
      }
      let isNewPin = false;
      if (needsPin) {
        if (pull.pin !== '') {
          drop('423 Nats-Wrong-Pin-Id');
          continue;
        }
        this.#assignPin(pull);
        isNewPin = true;
      } else if (isPinned && pull.pin !== this.#pin) {
        if (pull.pin !== '') {
          drop('423 Nats-Wrong-Pin-Id');
          continue;
        }
        this.#pulls.cycle();
        if (++cycled >= this.#pulls.length) return undefined;
        continue;
      }
      if (pull.bytes > 0) {
        if (size > pull.bytes) {
          drop('409 Message Size Exceeds MaxBytes');
          if (isNewPin) this.#forgetPin(undefined);
          continue;
        }
        pull.bytes -= size;
        if (pull.bytes === 0) pull.left = 1;
      }
      if (this.#around.hasInterest(pull.reply)) return this.#pulls.serve();
      this.#pulls.remove(pull);
    }
    return undefined;
  }

  #deliver(message: StoredMessage, reply: string, deliveries: number, pull: Pull): void {
    const { data, headers, micros, sequence, subject } = message;
    const { now } = this.#around.time;
    const delivery = this.#delivery++;
    const isAckedAtOnce = this.settings.ack_policy === 'none';
    if (pull.left > 0 && pull.heartbeatMs > 0) pull.heartbeatAt = now + pull.heartbeatMs;
    let block = headers;
    if (this.settings.priority_policy === 'pinned_client') {
      block = (headers ?? NO_HEADERS).with([['Nats-Pin-Id', this.#pin]]);
    }
    const wire = { subject, reply, headers: block, data };
    if (isAckedAtOnce) this.#floor = { consumer: delivery, stream: sequence };
    else {
      const known = this.#pending.get(sequence);
      if (known === undefined) this.#pending.set(sequence, { delivery, at: now });
      else known.at = now;
      this.#lookAfter(this.#waitFor(sequence) + LOOK_MS, true);
    }
    // It goes to the inbox of the pull under its own subject.
    this.#record(delivery, sequence, deliveries, micros / 1_000, () => {
      this.#around.send(wire, pull.reply);
    });
    if (pull.left <= 0 && pull.bytes > 0) this.#around.send(statusMessage(pull.reply, '409 Batch Completed', pull));
  }

  /** Stores a delivery; a replicated consumer delivers only what a majority knows of. */
  #record(delivery: number, sequence: number, count: number, at: number, then: () => void = () => {}): void {
    const isAckedAtOnce = this.settings.ack_policy === 'none';
    const term = this.#term;
    const apply = (): void => {
      this.#stored.wasDelivered(delivery, sequence, count, at, isAckedAtOnce);
      if (term === this.#term) then();
    };
    if (isAckedAtOnce) apply();
    else this.replication.propose(apply);
  }

  #replyFor({ micros, sequence }: StoredMessage, deliveries: number): string {
    const toCome = Math.max(0, this.#toCome);
    const place = `${deliveries}.${sequence}.${this.#delivery}.${micros}000.${toCome}`;
    return `$JS.ACK.${this.stream.name}.${this.name}.${place}`;
  }

  #take(sequence: number, delivery: number, answer: () => void): void {
    if (sequence >= this.#next) return;
    const pending = this.#pending.get(sequence);
    const most = this.settings.max_ack_pending;
    const wasFull = most > 0 && this.#pending.size >= most;
    this.#redelivered.delete(sequence);
    this.#due = this.#due.filter((each) => each !== sequence);
    let first = delivery;
    if (pending !== undefined) {
      this.#pending.delete(sequence);
      first = pending.delivery;
      this.#moveFloor(first, sequence);
    }
    this.replication.propose(() => {
      this.#stored.wasAcknowledged(first, sequence);
      this.stream.removeAcknowledged(sequence);
      answer();
    });
    if (pending !== undefined && wasFull) this.serve();
  }

  #refuse(sequence: number, delivery: number, count: number, argument: string): void {
    const pending = this.#pending.get(sequence);
    if (delivery <= this.#floor.consumer || delivery > this.#delivery || pending === undefined) return;
    const detail = { consumer_seq: delivery, stream_seq: sequence, deliveries: count };
    advisory(this.#around, 'consumer_nak', this.stream.name, this.name, detail);
    const delayMs = nakDelay(argument);
    if (delayMs === undefined) {
      if (!this.#due.includes(sequence)) this.#due.push(sequence);
      this.serve();
      return;
    }
    this.#due = this.#due.filter((each) => each !== sequence);
    pending.at = this.#around.time.now - (this.settings.ack_wait ?? 0) / NS_PER_MS + delayMs;
    this.#record(pending.delivery, sequence, count, pending.at);
    this.#lookAfter(10, true);
  }

  #moveFloor(delivery: number, sequence: number): void {
    if (this.#pending.size === 0) this.#floor = { consumer: this.#delivery - 1, stream: this.#next - 1 };
    else if (delivery === this.#floor.consumer + 1) {
      this.#floor = floorAfter(delivery, sequence, this.#next, this.#pending);
    }
  }

  /** How long a delivery waits for its acknowledgement, in milliseconds. */
  #waitFor(sequence: number): number {
    const { ack_wait: wait = 0, backoff = [] } = this.settings;
    const step = Math.min(Math.max(0, this.#redelivered.get(sequence) ?? 0), backoff.length - 1);
    return (backoff[step] ?? wait) / NS_PER_MS;
  }

  /** @param onlySooner a look that comes sooner stays */
  #lookAfter(ms: number, onlySooner = false): void {
    const at = this.#around.time.now + ms;
    if (onlySooner && this.#lookAt !== 0 && this.#lookAt <= at) return;
    this.#cancelLook();
    this.#lookAt = at;
    this.#cancelLook = this.#around.time.at(at, () => this.#look());
  }

  /** Looks for what was not acknowledged in time. */
  #look(): void {
    this.#lookAt = 0;
    if (!this.isLed) return;
    const { now } = this.#around.time;
    const { backoff = [], max_deliver: most } = this.settings;
    let next = backoff.length > 0 ? (backoff.at(-1) ?? 0) / NS_PER_MS : this.#waitFor(0) + LOOK_MS;
    const late: number[] = [];
    for (const [sequence, { at, delivery }] of this.#pending) {
      if (sequence < this.stream.store.firstSequence || sequence <= this.#floor.stream) {
        this.#pending.delete(sequence);
        this.#redelivered.delete(sequence);
        this.#due = this.#due.filter((each) => each !== sequence);
        this.#floor.stream = Math.max(this.#floor.stream, sequence);
        this.#floor.consumer = Math.max(this.#floor.consumer, delivery);
        this.#stored.wasAcknowledged(delivery, sequence);
        continue;
      }
      const deadline = this.#waitFor(sequence);
      const count = this.#redelivered.get(sequence) ?? 0;
      const following = backoff[Math.min(Math.max(0, count) + 1, backoff.length - 1)];
      if (following !== undefined) next = Math.min(next, following / NS_PER_MS);
      const elapsed = now - at;
      if (elapsed < deadline) next = Math.min(next, deadline - elapsed);
      else if (!this.#due.includes(sequence) && (most < 1 || count + 1 < most)) late.push(sequence);
    }
    late.sort((one, other) => one - other);
    const offMs = now - (this.#pending.get(late[0] ?? 0)?.at ?? now);
    for (const sequence of late) {
      const pending = this.#pending.get(sequence);
      if (pending !== undefined) pending.at += offMs;
      this.#due.push(sequence);
    }
    if (this.#pending.size > 0) this.#lookAfter(Math.max(next, LOOK_MS));
    else {
      this.#due = [];
      this.#floor = { consumer: this.#delivery - 1, stream: this.#next - 1 };
    }
    if (late.length > 0) this.serve();
  }

  /** Ends the pulls whose time is over, or that nobody listens for. @param isEnd nothing more is there to deliver */
  #lookAtWaiting(isEnd: boolean): void {
    const { now } = this.#around.time;
    let soonest = Infinity;
    for (const pull of this.#pulls.all) {
      const { bytes, delivered, expires, heartbeatMs, left, noWait, reply } = pull;
      if (expires !== 0 && now >= expires) {
        this.#around.send(statusMessage(reply, '408 Request Timeout', { left, bytes }));
        this.#pulls.remove(pull);
      } else if (isEnd && noWait && (expires === 0 || delivered > 0)) {
        this.#around.send(statusMessage(reply, '404 No Messages'));
        this.#pulls.remove(pull);
      } else if (!this.#around.hasInterest(reply)) this.#pulls.remove(pull);
      else {
        if (heartbeatMs > 0) {
          if (now >= pull.heartbeatAt) {
            this.#heartbeat(reply);
            pull.heartbeatAt = now + heartbeatMs;
          }
          soonest = Math.min(soonest, pull.heartbeatAt);
        }
        if (expires !== 0) soonest = Math.min(soonest, expires);
      }
    }
    this.#cancelWaiting();
    if (soonest === Infinity) return;
    this.#cancelWaiting = this.#around.time.at(soonest, () => {
      if (this.isLed) this.#lookAtWaiting(true);
    });
  }

  #heartbeat(reply: string): void {
    const lines: [string, string][] = [
      ['Nats-Last-Consumer', String(this.#delivery - 1)],
      ['Nats-Last-Stream', String(this.#next - 1)],
    ];
    const headers = HeaderBlock.of(lines, '100 Idle Heartbeat');
    this.#around.send({ subject: reply, reply: '', headers, data: new Uint8Array() });
  }

  #wanted(): number {
    return this.#pulls.all.reduce((sum, { left }) => sum + left, 0);
  }

  #assignPin(pull: Pull): void {
    this.#pin = `${this.name}-pin-${this.#term}-${++this.#pins}`;
    this.#pinnedAt = this.#around.time.now;
    pull.pin = this.#pin;
    this.#keepPin(pull.group);
    advisory(this.#around, 'consumer_group_pinned', this.stream.name, this.name, { pinned_id: this.#pin });
  }

  #keepPin(group: string): void {
    this.#cancelPin();
    const ms = (this.settings.priority_timeout ?? 0) / NS_PER_MS;
    this.#cancelPin = this.#around.time.after(ms, () => {
      this.#forgetPin('timeout', group);
      this.serve();
    });
  }

  #forgetPin(reason: string | undefined, group = ''): void {
    this.#cancelPin();
    this.#pin = '';
    if (reason === undefined) return;
    advisory(this.#around, 'consumer_group_unpinned', this.stream.name, this.name, { group, reason });
  }

  #readStored(): void {
    const { ackFloor, delivered, pending, redelivered } = this.#stored;
    this.#next = delivered.stream + 1;
    this.#delivery = delivered.consumer + 1;
    this.#floor = { ...ackFloor };
    this.#pending = new Map([...pending].map(([sequence, each]) => [sequence, { ...each }]));
    this.#redelivered = new Map(redelivered);
    this.countPending();
  }

  #isWanted(subject: string): boolean {
    return this.#filters.length === 0 || this.#filters.some((filter) => isMatch(subject, filter));
  }

  #answer(reply: string): void {
    if (reply !== '') this.#around.send({ subject: reply, reply: '', headers: undefined, data: new Uint8Array() });
  }
}

function startOf(stream: Stream, settings: ConsumerSettings, filters: readonly string[]): number {
  const { store } = stream;
  const { firstSequence, lastSequence } = store;
  const clamp = (sequence: number): number => Math.max(firstSequence, Math.min(sequence, lastSequence + 1));
  switch (settings.deliver_policy) {
    case 'all':
      return firstSequence;
    case 'new':
      return lastSequence + 1;
    case 'last':
      return clamp(Math.max(0, ...(filters.length === 0 ? ['>'] : filters).map((f) => store.last(f)?.sequence ?? 0)));
    case 'by_start_sequence':
      return Math.max(firstSequence, settings.opt_start_seq ?? 1);
    case 'by_start_time': {
      const from = Date.parse(settings.opt_start_time ?? '') * 1_000;
      for (const message of store.all()) if (message.micros >= from) return message.sequence;
      return lastSequence + 1;
    }
    case 'last_per_subject':
      throw new TypeError('not modelled: a consumer of the last message of each subject');
  }
}

function sizeOf({ data, headers, subject }: StoredMessage, reply: string): number {
  return subject.length + reply.length + (headers?.size ?? 0) + data.length;
}

/** Milliseconds; undefined where none is given. */
function nakDelay(argument: string): number | undefined {
  if (argument === '') return undefined;
  if (argument.startsWith('{')) return ((JSON.parse(argument) as { delay?: number }).delay ?? 0) / NS_PER_MS;
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)$/.exec(argument) ?? [];
  if (count === undefined) return undefined;
  const ms: Record<string, number> = { ns: 1e-6, us: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  return Number(count) * (ms[unit ?? ''] ?? 0);
}
