import type { Msg } from '@nats-io/nats-core';
import { headers as newHeaders, type MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import type { Answer, RequestPort } from '../src/nats/requester.ts';

/** What goes wrong with one request. */
export type Fault =
  | 'none'
  /** It never arrives; nobody answers. */
  | 'lost_before'
  /** It is carried out; the answer is lost. */
  | 'lost_after'
  /** Nobody answers, and it is carried out some requests later. */
  | 'late'
  /** The server says "not now". */
  | 'busy'
  /** As a replicated stream does while another write is in flight. */
  | 'in_flight'
  /** The stream's limits are reached. */
  | 'full';

interface Stored {
  subject: string;
  sequence: number;
  headers: MsgHdrs;
  data: Uint8Array;
}

/**
 * A stream as the runtime sees it through its request port: compare-and-set per entity, message ids, reads of the last
 * message and by sequence; with faults where the test wants them.
 */
export class SimulatedStream implements RequestPort {
  readonly messages: Stored[] = [];
  readonly #nextFault: (kind: 'publish' | 'read') => Fault;
  /** R3 looks for a repeated message id before the sequence, R1 after it. */
  readonly #idsFirst: boolean;
  #late: { due: number; run: () => void }[] = [];
  #requests = 0;

  constructor(nextFault: (kind: 'publish' | 'read') => Fault, idsFirst: boolean) {
    this.#nextFault = nextFault;
    this.#idsFirst = idsFirst;
  }

  async request(subject: string, payload: Uint8Array, headers?: MsgHdrs): Promise<Answer> {
    // Others get a turn between a request and its answer.
    await new Promise((resolve) => setImmediate(resolve));
    this.#requests++;
    this.#runLate(this.#requests);
    const publish = subject.startsWith('ent.');
    const carryOut = (): Answer =>
      publish ? this.#publish(subject, payload, headers as MsgHdrs) : this.#read(subject, payload);
    switch (this.#nextFault(publish ? 'publish' : 'read')) {
      case 'none':
        return carryOut();
      case 'lost_after':
        carryOut();
        return { kind: 'lost', why: 'simulated' };
      case 'late':
        this.#late.push({ due: this.#requests + 2 + (this.#requests % 7), run: carryOut });
        return { kind: 'lost', why: 'simulated' };
      case 'busy':
        return status(503);
      case 'in_flight':
        return publish ? apiError(400, 10164, 'wrong last sequence') : carryOut();
      case 'full':
        return publish ? apiError(503, 10077, 'maximum bytes exceeded') : carryOut();
      case 'lost_before':
        return { kind: 'lost', why: 'simulated' };
    }
  }

  /** Carries out what is still on its way. */
  settle(): void {
    this.#runLate(Number.POSITIVE_INFINITY);
  }

  #runLate(now: number): void {
    const due = this.#late.filter((request) => request.due <= now);
    this.#late = this.#late.filter((request) => request.due > now);
    for (const { run } of due) run();
  }

  #publish(subject: string, data: Uint8Array, raw: MsgHdrs): Answer {
    const headers = MsgHdrsImpl.decode((raw as MsgHdrsImpl).encode());
    const refusal = this.#idsFirst
      ? (this.#duplicate(headers) ?? this.#wrongSequence(headers))
      : (this.#wrongSequence(headers) ?? this.#duplicate(headers));
    if (refusal !== undefined) return refusal;
    const sequence = this.messages.length + 1;
    this.messages.push({ subject, sequence, headers, data });
    return ack({ stream: 'S', seq: sequence });
  }

  #duplicate(headers: MsgHdrs): Answer | undefined {
    const id = headers.get('Nats-Msg-Id');
    const earlier = this.messages.find((message) => message.headers.get('Nats-Msg-Id') === id);
    return earlier === undefined ? undefined : ack({ stream: 'S', seq: earlier.sequence, duplicate: true });
  }

  #wrongSequence(headers: MsgHdrs): Answer | undefined {
    const filter = headers.get('Nats-Expected-Last-Subject-Sequence-Subject');
    const last = this.#last(filter)?.sequence ?? 0;
    const expected = Number(headers.get('Nats-Expected-Last-Subject-Sequence'));
    return last === expected ? undefined : apiError(400, 10071, `wrong last sequence: ${last}`);
  }

  #last(filter: string): Stored | undefined {
    const prefix = filter.endsWith('*') ? filter.slice(0, -1) : undefined;
    return this.messages.findLast(({ subject }) =>
      prefix === undefined ? subject === filter : subject.startsWith(prefix),
    );
  }

  #read(subject: string, payload: Uint8Array): Answer {
    const api = '$JS.API.DIRECT.GET.';
    const target = subject.slice(api.length);
    const dot = target.indexOf('.');
    const found =
      dot === -1
        ? this.messages[(JSON.parse(new TextDecoder().decode(payload)) as { seq: number }).seq - 1]
        : this.#last(target.slice(dot + 1));
    if (found === undefined) return status(404);
    const headers = MsgHdrsImpl.decode((found.headers as MsgHdrsImpl).encode());
    headers.set('Nats-Subject', found.subject);
    headers.set('Nats-Sequence', String(found.sequence));
    headers.set('Nats-Time-Stamp', new Date(0).toISOString());
    return answer(found.data, headers);
  }
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
