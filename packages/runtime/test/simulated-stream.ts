import type { Msg } from '@nats-io/nats-core';
import { headers as newHeaders, type MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import type { Answer, BatchAnswer, RequestPort } from '../src/nats/requester.ts';

/** What goes wrong with one request. */
export type Fault =
  | 'none'
  /** It never arrives; nobody answers. */
  | 'lost_before'
  /** It is carried out; the answer is lost. */
  | 'lost_after'
  /** Nobody answers, and it is carried out some requests later. */
  | 'late'
  /** Replicated: expiries that are on their way come in between its checks and its place in the log. */
  | 'behind'
  /** The same, but nobody answers, and it is stored some requests later. */
  | 'proposed'
  /** Replicated: a Direct Get is answered by a follower that has not got the newest messages. */
  | 'stale'
  /** The server says "not now". */
  | 'busy'
  /** As a replicated stream does while another write is in flight. */
  | 'in_flight'
  /** The stream's limits are reached. */
  | 'full';

/** What becomes of a lease's schedule: it fires so many requests late, or never. */
export type FireFault = number | 'lost';

/** How schedules fare. */
export interface Schedules {
  now: () => number;
  nextFire: () => FireFault;
  /** Whether the next one to be taken out stays, as after a kill of the server. */
  stays?: () => boolean;
}

export interface StoredInStream {
  subject: string;
  sequence: number;
  headers: MsgHdrs;
  data: Uint8Array;
  /** Sequence of the last message when its checks were made. */
  checkedAt: number;
}

/** A schedule that has fired: its message as it was then, on its way into the stream. */
interface Fire {
  message: StoredInStream;
  target: string;
  due: number;
}

interface Proposal {
  due: number;
  id: string;
  filter: string;
  store: () => void;
}

const DIRECT_GET = '$JS.API.DIRECT.GET.';
const MESSAGE_GET = '$JS.API.STREAM.MSG.GET.';

/**
 * A stream as the runtime sees it through its request port: compare-and-set per entity, message ids, schedules, reads of the
 * last message, of the last of each subject and by sequence; with faults where the test wants them.
 */
export class SimulatedStream implements RequestPort {
  /** What the stream holds. */
  readonly messages: StoredInStream[] = [];
  /** All that it ever held. */
  readonly history: StoredInStream[] = [];
  readonly #nextFault: (kind: 'publish' | 'read') => Fault;
  /** R3 looks for a repeated message id before the sequence, R1 after it. */
  readonly #idsFirst: boolean;
  readonly #time: Schedules | undefined;
  /** Sequences by message id. */
  readonly #ids = new Map<string, number>();
  readonly #schedules = new Map<string, StoredInStream>();
  #fires: Fire[] = [];
  #late: { due: number; run: () => void }[] = [];
  #proposals: Proposal[] = [];
  #requests = 0;

  /** @param time without it, no schedule fires */
  constructor(nextFault: (kind: 'publish' | 'read') => Fault, idsFirst: boolean, time?: Schedules) {
    this.#nextFault = nextFault;
    this.#idsFirst = idsFirst;
    this.#time = time;
  }

  async request(subject: string, payload: Uint8Array, headers?: MsgHdrs): Promise<Answer> {
    await this.#turn();
    const publish = subject.startsWith('ent.');
    const carryOut = (): Answer =>
      publish ? this.#publish(subject, payload, headers as MsgHdrs) : this.#read(subject, payload, this.messages);
    switch (this.#nextFault(publish ? 'publish' : 'read')) {
      case 'none':
        return carryOut();
      case 'lost_after':
        carryOut();
        return LOST;
      case 'late':
        this.#late.push({ due: this.#later(), run: carryOut });
        return LOST;
      case 'behind':
        return publish ? this.#publish(subject, payload, headers as MsgHdrs, this.#idsFirst) : carryOut();
      case 'proposed':
        if (publish && this.#idsFirst) this.#propose(subject, payload, headers as MsgHdrs);
        return LOST;
      case 'stale':
        return subject.startsWith(DIRECT_GET) ? this.#read(subject, payload, this.#behind()) : carryOut();
      case 'busy':
        return status(503);
      case 'in_flight':
        return publish ? apiError(400, 10164, 'wrong last sequence') : carryOut();
      case 'full':
        return publish ? apiError(503, 10077, 'maximum bytes exceeded') : carryOut();
      case 'lost_before':
        return LOST;
    }
  }

  async requestBatch(_subject: string, payload: Uint8Array): Promise<BatchAnswer> {
    await this.#turn();
    const question = JSON.parse(new TextDecoder().decode(payload)) as { multi_last: [string]; up_to_seq?: number };
    const [filter] = question.multi_last;
    const upTo = question.up_to_seq ?? Number.POSITIVE_INFINITY;
    switch (this.#nextFault('read')) {
      case 'none':
      case 'behind':
      case 'in_flight':
      case 'full':
        return this.#readEach(filter, this.messages, upTo);
      case 'stale':
        return this.#readEach(filter, this.#behind(), upTo);
      case 'busy':
        return { kind: 'answer', messages: [(status(503) as { message: Msg }).message] };
      case 'late':
      case 'lost_after':
      case 'lost_before':
      case 'proposed':
        return LOST;
    }
  }

  /** Carries out what is still on its way. */
  settle(): void {
    this.#requests = Number.MAX_SAFE_INTEGER;
    this.#arrive();
  }

  /** Others get a turn between a request and its answer, and so does the server. */
  async #turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#requests++;
    this.#arrive();
  }

  /** What a follower has. */
  #behind(): readonly StoredInStream[] {
    return this.#idsFirst ? this.messages.slice(0, -2) : this.messages;
  }

  #later(): number {
    return this.#requests + 2 + (this.#requests % 7);
  }

  #arrive(): void {
    this.#fireSchedules();
    // Expiries come in order, and before what was proposed behind them.
    while (this.#fires[0] !== undefined && this.#fires[0].due <= this.#requests) this.#landFire();
    const proposed = this.#proposals.filter(({ due }) => due <= this.#requests);
    this.#proposals = this.#proposals.filter((proposal) => !proposed.includes(proposal));
    for (const { store } of proposed) store();
    const due = this.#late.filter((request) => request.due <= this.#requests);
    this.#late = this.#late.filter((request) => request.due > this.#requests);
    for (const { run } of due) run();
  }

  #publish(subject: string, data: Uint8Array, raw: MsgHdrs, comesBehind = false): Answer {
    const headers = MsgHdrsImpl.decode((raw as MsgHdrsImpl).encode());
    if (this.#inFlightId(headers.get('Nats-Msg-Id'))) return apiError(400, 10158, 'message id in process');
    if (headers.get('Nats-Rollup') === 'none') {
      return this.#duplicate(headers) ?? apiError(400, 10111, 'rollup value invalid: none');
    }
    const refusal = this.#check(headers);
    if (refusal !== undefined) return refusal;
    const checkedAt = this.history.length;
    if (comesBehind) this.#landFires();
    return ack({ stream: 'S', seq: this.#store(subject, headers, data, checkedAt) });
  }

  #propose(subject: string, data: Uint8Array, raw: MsgHdrs): void {
    const headers = MsgHdrsImpl.decode((raw as MsgHdrsImpl).encode());
    const [id, filter] = [headers.get('Nats-Msg-Id'), headers.get(EXPECTED_OF)];
    if (headers.has('Nats-Rollup') || this.#inFlightId(id) || this.#check(headers) !== undefined) return;
    const checkedAt = this.history.length;
    this.#landFires();
    const store = (): void => void this.#store(subject, headers, data, checkedAt);
    this.#proposals.push({ due: this.#later(), id, filter, store });
  }

  #landFires(): void {
    while (this.#fires.length > 0) this.#landFire();
  }

  #inFlightId(id: string): boolean {
    return id !== '' && this.#proposals.some((proposal) => proposal.id === id);
  }

  #check(headers: MsgHdrs): Answer | undefined {
    return this.#idsFirst
      ? (this.#duplicate(headers) ?? this.#wrongSequence(headers))
      : (this.#wrongSequence(headers) ?? this.#duplicate(headers));
  }

  #store(
    subject: string,
    headers: MsgHdrs,
    data: Uint8Array,
    checkedAt = this.history.length,
    isExpiry = false,
  ): number {
    const sequence = this.history.length + 1;
    const stored = { subject, sequence, headers, data, checkedAt };
    this.messages.push(stored);
    this.history.push(stored);
    const id = headers.get('Nats-Msg-Id');
    if (id !== '') this.#ids.set(id, sequence);
    // An expiry takes out its own schedule.
    const stays = !isExpiry && this.#time?.stays?.() === true;
    if (headers.get('Nats-Schedule-Next') === 'purge' && !stays) this.#purge(headers.get('Nats-Scheduler'));
    if (headers.has('Nats-Schedule')) this.#schedules.set(subject, stored);
    return sequence;
  }

  #purge(subject: string): void {
    this.#schedules.delete(subject);
    for (let i = this.messages.length - 1; i >= 0; i--) {
      if (this.messages[i]?.subject === subject) this.messages.splice(i, 1);
    }
  }

  #fireSchedules(): void {
    const now = this.#time?.now() ?? Number.NEGATIVE_INFINITY;
    for (const [subject, message] of this.#schedules) {
      if (Date.parse(message.headers.get('Nats-Schedule').slice('@at '.length)) > now) continue;
      this.#schedules.delete(subject);
      const fault = this.#time?.nextFire() ?? 0;
      if (fault === 'lost') continue;
      const target = message.headers.get('Nats-Schedule-Target');
      this.#fires.push({ message, target, due: this.#requests + fault });
    }
  }

  /** The server stores an expiry without a look at what has come meanwhile. */
  #landFire(): void {
    const { message, target } = this.#fires.shift() as Fire;
    const headers = MsgHdrsImpl.decode((message.headers as MsgHdrsImpl).encode());
    for (const name of headers.keys()) if (/^Nats-(?:Expected|Msg-Id|Schedule)/.test(name)) headers.delete(name);
    headers.set('Nats-Scheduler', message.subject);
    headers.set('Nats-Schedule-Next', 'purge');
    this.#store(target, headers, message.data, this.history.length, true);
  }

  #duplicate(headers: MsgHdrs): Answer | undefined {
    const id = headers.get('Nats-Msg-Id');
    const seq = this.#ids.get(id);
    return seq === undefined ? undefined : ack({ stream: 'S', seq, duplicate: true });
  }

  #wrongSequence(headers: MsgHdrs): Answer | undefined {
    const filter = headers.get(EXPECTED_OF);
    if (this.#proposals.some((proposal) => proposal.filter === filter))
      return apiError(400, 10164, 'wrong last sequence');
    const last = lastOf(this.messages, filter)?.sequence ?? 0;
    const expected = Number(headers.get('Nats-Expected-Last-Subject-Sequence'));
    return last === expected ? undefined : apiError(400, 10071, `wrong last sequence: ${last}`);
  }

  #read(subject: string, payload: Uint8Array, messages: readonly StoredInStream[]): Answer {
    const query = payload.length === 0 ? {} : (JSON.parse(new TextDecoder().decode(payload)) as MessageQuery);
    if (subject.startsWith(MESSAGE_GET)) return fromLeader(find(messages, query));
    const target = subject.slice(DIRECT_GET.length);
    const dot = target.indexOf('.');
    return direct(find(messages, dot === -1 ? query : { last_by_subj: target.slice(dot + 1) }));
  }

  #readEach(filter: string, all: readonly StoredInStream[], upTo: number): BatchAnswer {
    const messages = all.filter(({ sequence }) => sequence <= upTo);
    const subjects = [...new Set(messages.map(({ subject }) => subject))].filter((subject) => matches(subject, filter));
    const found = subjects.map((subject) => lastOf(messages, subject) as StoredInStream);
    const answers = found.toSorted((one, other) => one.sequence - other.sequence).map(direct);
    return { kind: 'answer', messages: answers.map((each) => (each as { message: Msg }).message) };
  }
}

const EXPECTED_OF = 'Nats-Expected-Last-Subject-Sequence-Subject';
const LOST = { kind: 'lost', why: 'simulated' } as const;

interface MessageQuery {
  seq?: number;
  last_by_subj?: string;
}

function find(messages: readonly StoredInStream[], { last_by_subj, seq }: MessageQuery): StoredInStream | undefined {
  if (last_by_subj !== undefined) return lastOf(messages, last_by_subj);
  return messages.find(({ sequence }) => sequence === seq);
}

function lastOf(messages: readonly StoredInStream[], filter: string): StoredInStream | undefined {
  return messages.findLast(({ subject }) => matches(subject, filter));
}

/** Whether a subject is under a filter, where `>` stands for any further tokens and nothing else is wild. */
function matches(subject: string, filter: string): boolean {
  return filter.endsWith('.>') ? subject.startsWith(filter.slice(0, -1)) : subject === filter;
}

function direct(found: StoredInStream | undefined): Answer {
  if (found === undefined) return status(404);
  const headers = MsgHdrsImpl.decode((found.headers as MsgHdrsImpl).encode());
  headers.set('Nats-Subject', found.subject);
  headers.set('Nats-Sequence', String(found.sequence));
  headers.set('Nats-Time-Stamp', new Date(0).toISOString());
  return answer(found.data, headers);
}

function fromLeader(found: StoredInStream | undefined): Answer {
  if (found === undefined) return apiError(404, 10037, 'no message found');
  const { data, headers, sequence: seq, subject } = found;
  const hdrs = Buffer.from((headers as MsgHdrsImpl).encode()).toString('base64');
  const message = { subject, seq, time: new Date(0).toISOString(), hdrs, data: Buffer.from(data).toString('base64') };
  return ack({ message });
}

function answer(data: Uint8Array, headers: MsgHdrs): Answer {
  const json = (): unknown => JSON.parse(new TextDecoder().decode(data));
  return { kind: 'answer', message: { data, headers, json } as unknown as Msg };
}

function ack(body: unknown): Answer {
  return answer(new TextEncoder().encode(JSON.stringify(body)), newHeaders());
}

function apiError(code: number, errorCode: number, description: string): Answer {
  return ack({ error: { code, err_code: errorCode, description } });
}

function status(code: number): Answer {
  return answer(new Uint8Array(), MsgHdrsImpl.decode(new TextEncoder().encode(`NATS/1.0 ${code} simulated\r\n\r\n`)));
}
