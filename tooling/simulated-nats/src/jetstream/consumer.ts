import { HeaderBlock } from '../headers.ts';
import { EMPTY, textBytes, textOf } from '../message.ts';
import { isMatch, isSubset } from '../subjects.ts';
import { advisory } from './advisories.ts';
import { filtersOf, type ConsumerSettings } from './config.ts';
import { nakDelay, sizeOf, startOf } from './consumer-parts.ts';
import { ConsumerState } from './consumer-state.ts';
import { Deliveries } from './deliveries.ts';
import { Pin } from './pin.ts';
import { newPull, parsePull, PullQueue, statusMessage, type Pull, type PullRequest } from './pulls.ts';
import { Replication } from './replication.ts';
import type { StoredMessage } from './store.ts';
import type { Stream } from './stream.ts';
import type { Surroundings } from './surroundings.ts';
import { timeOf } from './times.ts';

const NO_HEADERS = HeaderBlock.of([]);
const NS_PER_MS = 1_000_000;
const GONE = 'Unacknowledged message was deleted';

/** A pull consumer, as the server that leads it works it. */
export class Consumer {
  settings: ConsumerSettings;
  readonly created: number;
  readonly stream: Stream;
  readonly replication: Replication;
  readonly #around: Surroundings;
  readonly #deliveries: Deliveries;
  readonly #pin: Pin;
  readonly #pulls: PullQueue;
  /** What is stored of it. */
  #stored: ConsumerState;
  #filters: readonly string[];
  /** How many messages are still to be delivered, as the server estimates. */
  #toCome = 0;
  /** Of each pull, the delivery that is not stored yet, and what the pull still wants if it is over. */
  readonly #coming = new Map<string, { delivery: number; left: number; bytes: number }>();
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
    const start = Math.max(1, startOf(stream, settings, this.#filters));
    this.#stored = stored ?? new ConsumerState(start);
    // Replicas agree on where it begins, and on no floor below it.
    if (stored === undefined && this.replication.isReplicated) {
      this.#stored.ackFloor.stream = 0;
      this.#skipTo(start);
    }
    const isLed = (): boolean => this.isLed;
    const { store } = stream;
    this.#deliveries = new Deliveries(
      {
        around,
        settings: () => this.settings,
        isLed,
        stream: {
          get firstSequence() {
            return store.firstSequence;
          },
          has: (sequence) => store.at(sequence) !== undefined,
        },
        onDue: () => this.serve(),
      },
      start,
    );
    this.#pin = new Pin(around, { stream: stream.name, consumer: this.name }, () => this.serve());
    this.#pulls = new PullQueue({
      around,
      pin: this.#pin,
      pinMs: () => this.#pinMs,
      place: () => ({ delivery: this.#deliveries.count, next: this.#deliveries.next }),
      isLed,
      tellsLater: (pull) => this.#tellsLater(pull),
    });
    if (stored !== undefined) this.#deliveries.read(stored);
    this.countPending();
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
    this.#pulls.look(false);
    this.#checkToCome();
    const { settings } = this;
    const { ackFloor, delivered } = this.#stored;
    const { id, since } = this.#pin;
    const groups = settings.priority_groups?.map((group) =>
      id === '' ? { group } : { group, pinned_client_id: id, pinned_ts: timeOf(since) },
    );
    return {
      stream_name: this.stream.name,
      name: this.name,
      created: timeOf(this.created),
      config: settings,
      delivered: { consumer_seq: delivered.consumer, stream_seq: delivered.stream },
      ack_floor: { consumer_seq: ackFloor.consumer, stream_seq: ackFloor.stream },
      num_ack_pending: this.#deliveries.pending.size,
      num_redelivered: this.#deliveries.redelivered.size,
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
    const request = parsePull(textOf(data));
    const refusal = request === undefined ? '400 Bad Request - invalid JSON' : this.#refusalOf(request);
    if (request === undefined || refusal !== undefined) {
      if (refusal !== '') this.#around.send(statusMessage(reply, refusal ?? ''));
      return;
    }
    this.#pulls.add(newPull(reply, request, this.#around.time.now));
    this.serve();
  }

  /** @param tokens of the subject behind the consumer's name: count, stream sequence, delivery */
  acknowledge(tokens: readonly string[], reply: string, data: Uint8Array): void {
    if (!this.isLed) return;
    const [count = 0, sequence = 0, delivery = 0] = tokens.map(Number);
    const body = textOf(data);
    const answer = (): void => {
      if (reply !== '') this.#around.send({ subject: reply, reply: '', headers: undefined, data: EMPTY });
    };
    if (body === '' || body === '+ACK' || body === '+OK') this.#take(sequence, delivery, answer);
    else if (body.startsWith('+NXT')) {
      this.#take(sequence, delivery, () => {});
      this.pull(reply, textBytes(body.slice(4)));
    } else if (body.startsWith('-NAK')) {
      this.#refuse(sequence, delivery, count, body.slice(4).trim());
      answer();
    } else if (body === '+WPI') {
      const pending = this.#deliveries.pending.get(sequence);
      if (pending !== undefined) {
        pending.at = this.#around.time.now;
        this.#record(pending.delivery, sequence, 1, pending.at);
      }
      answer();
    } else if (body.startsWith('+TERM')) {
      this.#terminate(sequence, delivery, body.slice(5).trim() || undefined, answer);
    }
  }

  /** Takes the pin from the client that has it. */
  unpin(group: string): void {
    this.#pin.unpin(group);
    this.serve();
  }

  /** Delivers everything above the floor once more, or from a sequence on. */
  reset(sequence: number): number {
    const from = sequence > 0 ? sequence : this.#deliveries.floor.stream + 1;
    this.#deliveries.startAt(from);
    this.#stored = new ConsumerState(from);
    this.countPending();
    this.serve();
    return from;
  }

  /** The stream has a new message. */
  stored({ sequence, subject }: StoredMessage): void {
    if (!this.#isWanted(subject)) return;
    this.#toCome++;
    if (sequence >= this.#deliveries.next) this.serve();
  }

  /** A message of the stream is gone. */
  removed({ sequence, subject }: StoredMessage): void {
    if (!this.#isWanted(subject)) return;
    if (sequence >= this.#deliveries.next) this.#toCome--;
    const pending = this.#deliveries.pending.get(sequence);
    if (pending === undefined) {
      this.#deliveries.redelivered.delete(sequence);
      return;
    }
    this.#around.time.after(0, () => {
      if (this.isLed) this.#terminate(sequence, pending.delivery, GONE, () => {});
    });
  }

  /** Messages of the stream were purged. */
  purged(filter: string): void {
    const covered = this.#filters.filter((each) => isSubset(each, filter)).length;
    const isWhole = filter === '' || (covered > 0 && covered === this.#filters.length);
    const isWider = !isWhole && (covered > 0 || this.#isWanted(filter));
    if (!isWhole && !isWider) return;
    const { firstSequence, lastSequence } = this.stream.store;
    const isByStream = isWider || filter === '';
    const first = isByStream ? firstSequence : this.stream.store.next(filter, 1)?.sequence;
    this.#deliveries.purged(first ?? lastSequence + 1, isWider);
    this.#stored.replace(this.#deliveries);
  }

  countPending(): void {
    this.#toCome = 0;
    for (const filter of this.#filters.length === 0 ? ['>'] : this.#filters) {
      this.#toCome += this.stream.store.countFrom(filter, this.#deliveries.next);
    }
  }

  /** Another server leads it. Those who wait are told when it does. */
  changeLeader(gapMs: number): void {
    const { random, time } = this.#around;
    this.#leaderlessUntil = time.now + gapMs;
    const waiting = this.#pulls.clear();
    if (this.replication.isReplicated) this.replication.changeLeader();
    const term = ++this.#term;
    this.#pin.free();
    this.#coming.clear();
    this.#deliveries.stop();
    time.after(gapMs, () => {
      if (this.isDeleted || term !== this.#term) return;
      this.#deliveries.read(this.#stored);
      this.countPending();
      this.#deliveries.lookAfter(random.between(500, 1_500));
      if (!this.replication.isReplicated) return;
      for (const reply of waiting) this.#around.send(statusMessage(reply, '409 Leadership Change'));
    });
  }

  /** Delivers everything that is in clients' hands once more, in any order. */
  redeliver(): void {
    this.#deliveries.redeliver();
    this.serve();
  }

  delete(): void {
    this.isDeleted = true;
    this.replication.stop();
    this.#deliveries.stop();
    this.#pin.free();
    for (const reply of this.#pulls.clear()) this.#around.send(statusMessage(reply, '409 Consumer Deleted'));
  }

  /** Delivers what there is to those who wait. */
  serve(): void {
    this.#mustServe = true;
    if (this.#isServing || !this.isLed) return;
    this.#isServing = true;
    while (this.#mustServe) {
      this.#mustServe = false;
      const isFull = this.#serveAll();
      this.#pulls.look(!isFull);
    }
    this.#isServing = false;
  }

  get #pinMs(): number | undefined {
    const { priority_policy: policy, priority_timeout: timeout = 0 } = this.settings;
    return policy === 'pinned_client' ? timeout / NS_PER_MS : undefined;
  }

  /** Why a pull is not taken: a status, or empty where nothing is said. */
  #refusalOf(request: PullRequest): string | undefined {
    const { expires = 0, group = '', id = '', idle_heartbeat: heartbeat = 0, no_wait: noWait = false } = request;
    const { max_waiting: mostWaiting, priority_groups: groups = [], priority_policy: policy } = this.settings;
    if (heartbeat > 0 && heartbeat * 2 > expires) return '400 Bad Request - heartbeat value too large';
    if (id !== '' && policy !== 'pinned_client') return '400 Bad Request - Not a Pinned Client Priority consumer';
    if (policy !== undefined) {
      if (group === '') return '400 Bad Request - Priority Group missing';
      if (!groups.includes(group)) return '400 Bad Request - Invalid Priority Group';
      if (this.#pin.id !== '' && id === this.#pin.id) this.#pin.keep(group, this.#pinMs ?? 0);
      else if (this.#pin.id !== '' && id !== '') return '423 Nats-Pin-Id mismatch';
    }
    if (noWait) {
      const there = Math.max(0, this.#toCome) + this.#deliveries.due.length;
      if (there === 0 && expires === 0) return '404 No Messages';
      if (there > 0 && there < this.#pulls.wanted) return '408 Requests Pending';
    }
    if (this.#pulls.length < mostWaiting) return undefined;
    return heartbeat === 0 ? '409 Exceeded MaxWaiting' : '';
  }

  /** @returns whether too many messages are in the hands of clients */
  #serveAll(): boolean {
    const deliveries = this.#deliveries;
    const most = this.settings.max_ack_pending;
    while (this.#pulls.length > 0) {
      const repeated = this.#nextDue();
      if (repeated === undefined && most > 0 && deliveries.pending.size >= most) return true;
      const message = repeated ?? this.#nextNew();
      if (message === undefined) return false;
      const { sequence } = message;
      const before = deliveries.redelivered.get(sequence) ?? 0;
      if (repeated === undefined) this.#toCome--;
      else deliveries.redelivered.set(sequence, before + 1);
      const count = repeated === undefined ? 1 : before + 2;
      const reply = this.#replyFor(message, count);
      const pull = this.#pulls.next(sizeOf(message, reply));
      if (pull === undefined) {
        if (repeated === undefined) {
          deliveries.next = sequence;
          this.#toCome++;
        } else {
          deliveries.redelivered.set(sequence, before);
          deliveries.due.push(sequence);
        }
        return false;
      }
      this.#deliver(message, reply, count, pull);
    }
    return false;
  }

  #nextDue(): StoredMessage | undefined {
    const { due, pending, redelivered } = this.#deliveries;
    const { max_deliver: most } = this.settings;
    for (let sequence = due.shift(); sequence !== undefined; sequence = due.shift()) {
      const message = this.stream.store.at(sequence);
      const count = (redelivered.get(sequence) ?? 0) + 2;
      const known = pending.get(sequence);
      if (message !== undefined && (most < 1 || count <= most)) return message;
      if (message === undefined) {
        if (known !== undefined) this.#terminate(sequence, known.delivery, GONE, () => {});
        continue;
      }
      redelivered.set(sequence, count - 1);
      if (count === most + 1) {
        advisory(this.#around, 'max_deliver', this.stream.name, this.name, { stream_seq: sequence });
      }
      if (known === undefined) continue;
      pending.delete(sequence);
      this.#deliveries.moveFloor(known.delivery, sequence);
    }
    return undefined;
  }

  #nextNew(): StoredMessage | undefined {
    const { store } = this.stream;
    const { next: from } = this.#deliveries;
    let found: StoredMessage | undefined;
    if (this.#filters.length === 0) found = store.nextOfAll(from);
    for (const filter of this.#filters) {
      const candidate = store.next(filter, from);
      if (candidate !== undefined && candidate.sequence < (found?.sequence ?? Infinity)) found = candidate;
    }
    const next = (found?.sequence ?? store.lastSequence) + 1;
    // A single message that is passed over is not worth telling.
    if (found === undefined && store.lastSequence > from && this.replication.isReplicated) this.#skipTo(next);
    this.#deliveries.next = Math.max(from, next);
    return found;
  }

  /** Tells the replicas that there is nothing to deliver below. */
  #skipTo(next: number): void {
    this.replication.propose(() => this.#stored.skipTo(next, this.settings.ack_policy === 'none'));
  }

  /** Whether a delivery to the pull is not stored yet; then its end is told behind that. */
  #tellsLater({ bytes, left, reply }: Pull): boolean {
    const coming = this.#coming.get(reply);
    if (coming === undefined) return false;
    Object.assign(coming, { left, bytes });
    return true;
  }

  #deliver(message: StoredMessage, reply: string, count: number, pull: Pull): void {
    const { data, headers, micros, sequence, subject } = message;
    const delivery = this.#deliveries.count;
    const isPinned = this.#pinMs !== undefined;
    const block = isPinned ? (headers ?? NO_HEADERS).with([['Nats-Pin-Id', this.#pin.id]]) : headers;
    if (this.settings.ack_policy === 'none') this.#deliveries.floor = { consumer: delivery, stream: sequence };
    else this.#deliveries.deliver(sequence);
    this.#deliveries.count++;
    // It goes to the inbox of the pull under its own subject.
    if (this.replication.isReplicated && this.settings.ack_policy !== 'none') {
      this.#coming.set(pull.reply, { delivery, left: 0, bytes: 0 });
    }
    this.#record(delivery, sequence, count, micros / 1_000, () => {
      this.#around.send({ subject, reply, headers: block, data }, pull.reply);
      const coming = this.#coming.get(pull.reply);
      if (coming?.delivery !== delivery) return;
      this.#coming.delete(pull.reply);
      const isOver = coming.left > 0 || coming.bytes > 0;
      if (isOver) this.#around.send(statusMessage(pull.reply, '408 Request Timeout', coming));
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

  #replyFor({ micros, sequence }: StoredMessage, count: number): string {
    const toCome = Math.max(0, this.#toCome);
    const place = `${count}.${sequence}.${this.#deliveries.count}.${micros}000.${toCome}`;
    return `$JS.ACK.${this.stream.name}.${this.name}.${place}`;
  }

  #take(sequence: number, delivery: number, answer: () => void): void {
    if (sequence >= this.#deliveries.next) return;
    const most = this.settings.max_ack_pending;
    const wasFull = most > 0 && this.#deliveries.pending.size >= most;
    const first = this.#deliveries.done(sequence);
    this.replication.propose(() => {
      this.#stored.wasAcknowledged(first ?? delivery, sequence);
      this.stream.removeAcknowledged(sequence);
      answer();
    });
    if (first !== undefined && wasFull) this.serve();
  }

  #terminate(sequence: number, delivery: number, reason: string | undefined, answer: () => void): void {
    this.#take(sequence, delivery, answer);
    const details = { stream_seq: sequence, consumer_seq: delivery, reason };
    advisory(this.#around, 'consumer_terminated', this.stream.name, this.name, details);
  }

  #refuse(sequence: number, delivery: number, count: number, argument: string): void {
    const deliveries = this.#deliveries;
    const pending = deliveries.pending.get(sequence);
    if (delivery <= deliveries.floor.consumer || delivery > deliveries.count || pending === undefined) return;
    const detail = { consumer_seq: delivery, stream_seq: sequence, deliveries: count };
    advisory(this.#around, 'consumer_nak', this.stream.name, this.name, detail);
    const delayMs = nakDelay(argument);
    if (delayMs === undefined) {
      if (!deliveries.due.includes(sequence)) deliveries.due.push(sequence);
      return this.serve();
    }
    deliveries.dropDue(sequence);
    deliveries.delay(pending, delayMs);
    this.#record(pending.delivery, sequence, count, pending.at);
  }

  /** The count goes wrong where messages come below the next one; the server puts it right when it is asked. */
  #checkToCome(): void {
    const { count, lastSequence } = this.stream.store;
    const { next } = this.#deliveries;
    if (next > lastSequence) this.#toCome = 0;
    else if (this.#toCome > 0) this.#toCome = Math.min(this.#toCome, count, lastSequence - next + 1);
  }

  #isWanted(subject: string): boolean {
    return this.#filters.length === 0 || this.#filters.some((filter) => isMatch(subject, filter));
  }
}
