import { HEADERS, parseSubject, SIGNAL_EVENTS } from '@meshforge/protocol';
import type { MsgHdrs, NatsConnection } from '@nats-io/nats-core';
import { CommandIntake } from '../../../src/intake/command-intake.ts';
import { QueryIntake } from '../../../src/intake/query-intake.ts';
import { Voice } from '../../../src/intake/reply.ts';
import { CommandStats } from '../../../src/intake/stats.ts';
import { systemClock } from '../../../src/clock.ts';
import { EntityReader } from '../../../src/nats/entity-reader.ts';
import { DEFAULT_CACHE } from '../../../src/store/entity-cache.ts';
import { EntityStore } from '../../../src/store/entity-store.ts';
import { SimulatedStream } from '../../simulated-stream.ts';
import { items } from '../agents.ts';
import { frame, linesOf, messageOf, readFrame } from '../frames.ts';
import { mustBeSubject } from '../readable.ts';
import { must, Violation, type Target } from '../target.ts';

const ITEM = '{"entity_id":"a","data":{"name":"bolt","quantity":5}}';

/** Requests to an agent as they come in, from the header block to the log and the answer. Each starts with the same log. */
export const services: Target = {
  name: 'requests to an agent',
  seeds: [
    frame('cmd create _INBOX.a', ['Mesh-Command-Id: c-1', 'traceparent: 00-a-b-01'], ITEM),
    frame(
      'cmd update _INBOX.a',
      ['Mesh-Command-Id: first'],
      '{"entity_id":"there","expected_version":1,"data":{"name":"nut"}}',
    ),
    frame('cmd adjust _INBOX.a', [], '{"entity_id":"there","expected_version":9,"data":{"delta":-2}}'),
    frame(
      'cmd reserve _INBOX.a',
      ['Mesh-Correlation-Id: o'],
      '{"entity_id":"there","data":{"order_id":"o","quantity":1}}',
    ),
    frame('cmd delete ent.inventory.x.0.created', [], '{"entity_id":"there"}'),
    frame('cmd fly _INBOX.a', [], '{}'),
    frame('qry get _INBOX.a', ['Mesh-Correlation-Id: o'], '{"entity_id":"there","min_version":1}'),
    frame('qry history _INBOX.a', [], '{"entity_id":"there","limit":5,"before_version":3}'),
    frame('qry list _INBOX.a', [], '{"limit":2,"after":"","prefix":"t"}'),
  ],
  words: ['cmd ', 'qry ', ' _INBOX.', 'there', '"expected_version":', '"delta":', 'constructor', '__proto__'],
  async run(input) {
    const read = readFrame(input);
    const [kind, action = '', reply = ''] = read.words;
    const service = new Service();
    await service.receive('cmd', 'create', messageOf(readFrame(FIRST), 'cmd.inventory.create'));
    service.said.length = 0;
    const message = messageOf(read, `${kind}.inventory.${action}`, reply === '' ? undefined : reply);
    await service.receive(kind === 'qry' ? 'qry' : 'cmd', action, message);

    const answers = service.said.filter(({ subject }) => subject === reply);
    const signals = service.said.filter(({ subject }) => subject !== reply);
    const isInbox = reply.startsWith('_INBOX') && /^[!-)+-=?-~]+$/.test(reply) && reply.length <= 1_024;
    must(answers.length === (isInbox ? 1 : 0), 'more or fewer answers than there must be', answers);
    for (const { body, headers } of [...answers, ...signals]) {
      JSON.parse(body);
      for (const line of linesOf(headers)) must(MAY_SAY.test(line), 'it says an odd header', line);
    }
    for (const { subject } of signals) {
      const parsed = parseSubject(subject);
      must(
        parsed?.kind === 'event' && (SIGNAL_EVENTS as readonly string[]).includes(parsed.event),
        'it speaks where it must not',
        subject,
      );
    }
    const { messages } = service.stream;
    must(messages.length <= 2, 'too many messages are in the log', messages.length);
    for (const { subject, headers, data } of messages) {
      mustBeSubject(subject, 5);
      const parsed = parseSubject(subject);
      const body = JSON.parse(new TextDecoder().decode(data)) as { entity_id: unknown; entity_version: unknown };
      must(
        parsed?.kind === 'entity' && parsed.entityId === body.entity_id,
        'the log has an entity under the subject of another',
        body,
      );
      must(Number.isSafeInteger(body.entity_version), 'the log has no version', body);
      for (const name of headers.keys()) must(MAY_STORE.has(name), 'the log has an odd header', name);
    }
    must(!('polluted' in {}), 'the prototype of all objects was changed');
  },
};

const FIRST = frame('', ['Mesh-Command-Id: first'], '{"entity_id":"there","data":{"name":"bolt"}}');
// One line, of a header that is ours.
const MAY_SAY =
  // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
  /^(?:Mesh-(?:Command-Id|Correlation-Id|Causation-Id|Replayed|Server-Time)|traceparent|tracestate|baggage|Nats-Service-Error(?:-Code)?): [^\x00-\x1f\x7f]*$/;
const MAY_STORE = new Set([
  'Nats-Expected-Last-Subject-Sequence',
  'Nats-Expected-Last-Subject-Sequence-Subject',
  'Nats-Msg-Id',
  ...Object.values(HEADERS).filter((name) => !name.startsWith('Nats-')),
]);

interface Said {
  subject: string;
  body: string;
  headers: MsgHdrs | undefined;
}

class Service {
  readonly stream = new SimulatedStream(() => 'none', false);
  readonly said: Said[] = [];
  readonly #commands: CommandIntake;
  readonly #queries: QueryIntake;
  readonly #faults: unknown[] = [];

  constructor() {
    const reader = new EntityReader({ agent: items, requester: this.stream, isReplicated: () => false });
    const store = new EntityStore({
      agent: items,
      reader,
      requester: this.stream,
      clock: systemClock,
      serverNow: () => 1_000_000,
      measureServerTime: () => Promise.resolve(),
      cache: DEFAULT_CACHE,
      maxPayload: () => 1_048_576,
      onDefect: (_action, reason, cause) => this.#faults.push(cause ?? reason),
    });
    const publish = (subject: string, body: Uint8Array | string, options?: { headers?: MsgHdrs }): void => {
      const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
      this.said.push({ subject, body: text, headers: options?.headers });
    };
    const shared = {
      agent: items,
      voice: new Voice({ publish } as unknown as NatsConnection, items.name),
      maxInFlight: 10,
      inboxPrefix: '_INBOX',
      onFault: (error: unknown) => this.#faults.push(error),
    };
    this.#commands = new CommandIntake({
      ...shared,
      store,
      stats: new CommandStats(Object.keys(items.actions)),
      serverNow: () => 1_000_000,
    });
    this.#queries = new QueryIntake({
      ...shared,
      reader,
      requester: this.stream,
      maxPayload: () => 1_048_576,
      subjects: () => Promise.resolve(Object.fromEntries(this.stream.messages.map(({ subject }) => [subject, 1]))),
    });
  }

  async receive(kind: 'cmd' | 'qry', action: string, message: Parameters<CommandIntake['handle']>[1]): Promise<void> {
    const intake = kind === 'cmd' ? this.#commands : this.#queries;
    intake.handle(action, message);
    await intake.drained();
    const [fault] = this.#faults;
    if (fault instanceof Error) throw fault;
    if (fault !== undefined) throw new Violation('a fault', fault);
  }
}
