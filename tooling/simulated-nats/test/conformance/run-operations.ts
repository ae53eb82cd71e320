// Carries operations out on any connection, and writes the answers down in a form that two servers can be compared by.
import { headers as newHeaders, type Msg, type NatsConnection } from '@nats-io/nats-core';
import type { Expectation, Headers, Operation } from './operations.ts';

/** A server to try, real or modelled. */
export interface Tried {
  connection: NatsConnection;
  /** A connection from which direct gets are answered by the leader of the stream S. */
  leader(): Promise<NatsConnection>;
  sleep(ms: number): Promise<void>;
  now(): number;
}

/** No answer takes so long. */
const GATHER_MS = 3_000;
const SEQUENCES = new Set(['seq', 'up_to_seq', 'opt_start_seq', 'sequence']);

interface Delivery {
  reply: string;
  text: string;
}

export class Operator {
  readonly #tried: Tried;
  readonly #deliveries: Delivery[] = [];
  /** Pins by name, and how they are called in the answers. */
  readonly #pins = new Map<string, string>();
  readonly #lastPin = new Map<string, string>();
  #events: string[] = [];
  #inboxes = 0;
  /** Sequences are drawn as if the stream began at 1. */
  #base = 0;

  constructor(tried: Tried) {
    this.#tried = tried;
    for (const subject of ['evt.>', '$JS.EVENT.ADVISORY.STREAM.>', '$JS.EVENT.ADVISORY.CONSUMER.*.S.>']) {
      tried.connection.subscribe(subject, { callback: (_error, message) => this.#see(message) });
    }
  }

  /**
   * What the server answers to it, and what it tells everybody.
   * @param expected where that is not there yet, it is waited for
   */
  async carryOut(operation: Operation, expected?: string): Promise<string> {
    const answer = await this.#do(operation);
    for (let tries = 0; ; tries++) {
      await this.#tried.sleep(operation.kind === 'wait' ? 0 : 4 * (tries + 1));
      await this.#tried.connection.flush();
      // What a stream says as it goes may be lost.
      const isOwn = operation.kind === 'deleteConsumer';
      const events = this.#events.filter((event) => isOwn || !event.includes('.DELETED.')).sort();
      const whole = [answer, ...events].join('\n    ');
      const mayCome = expected !== undefined && expected.length > whole.length && tries < 25;
      if (mayCome) continue;
      this.#events = [];
      return whole;
    }
  }

  async #do(drawn: Operation): Promise<string> {
    const operation = this.#moved(drawn);
    switch (operation.kind) {
      case 'publish':
        return this.#readAck(await (await this.#prepare(operation))());
      case 'burst': {
        const prepared: (() => Promise<Msg | string>)[] = [];
        for (const each of operation.publishes) prepared.push(await this.#prepare(each));
        const answers = await Promise.all(prepared.map((send) => send()));
        // Which of the refusals it is depends on how fast the first one is stored.
        return answers.map((each) => racing(this.#readAck(each))).join(' | ');
      }
      case 'get':
        return this.#json(await this.#ask('$JS.API.STREAM.MSG.GET.S', operation.request));
      case 'directGet': {
        const subject = `$JS.API.DIRECT.GET.S${operation.subject === undefined ? '' : `.${operation.subject}`}`;
        const connection = await this.#tried.leader();
        const isOne = !/multi_last|batch/.test(JSON.stringify(operation.request ?? {}));
        return (await this.#gather(connection, subject, operation.request, isOne ? 1 : Infinity))
          .map(showMessage)
          .join(' ; ');
      }
      case 'deleteMessage':
        return this.#json(await this.#ask('$JS.API.STREAM.MSG.DELETE.S', { seq: operation.sequence }));
      case 'purge':
        return this.#json(await this.#ask('$JS.API.STREAM.PURGE.S', operation.request));
      case 'info': {
        const request = operation.filter === undefined ? {} : { subjects_filter: operation.filter };
        return this.#json(await this.#ask('$JS.API.STREAM.INFO.S', request));
      }
      case 'recreate': {
        const gone = this.#json(await this.#ask('$JS.API.STREAM.DELETE.S', undefined));
        const made = this.#json(await this.#created(operation.settings));
        this.#base = ((operation.settings as { first_seq?: number }).first_seq ?? 1) - 1;
        return `${gone} ${made}`;
      }
      case 'updateStream':
        return this.#json(await this.#ask('$JS.API.STREAM.UPDATE.S', operation.settings));
      case 'createConsumer': {
        const { action, name, settings } = operation;
        const request = { stream_name: 'S', action, config: settings };
        return this.#json(await this.#ask(`$JS.API.CONSUMER.CREATE.S.${name}`, request));
      }
      case 'consumerInfo':
        return this.#json(await this.#ask(`$JS.API.CONSUMER.INFO.S.${operation.name}`, undefined));
      case 'deleteConsumer':
        return this.#json(await this.#ask(`$JS.API.CONSUMER.DELETE.S.${operation.name}`, undefined));
      case 'unpin':
        return this.#json(await this.#ask(`$JS.API.CONSUMER.UNPIN.S.${operation.name}`, { group: 'g' }));
      case 'pull':
        return this.#pull(operation);
      case 'acknowledge':
        return this.#acknowledge(operation.at, operation.body);
      case 'wait':
        await this.#tried.sleep(operation.ms);
        return '';
    }
  }

  /** The operation on the sequences that the stream has. */
  #moved<T extends Operation>(operation: T): T {
    const move = (value: unknown): unknown => {
      if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
      const entries = Object.entries(value).map(([key, each]) =>
        SEQUENCES.has(key) && typeof each === 'number' ? [key, each + this.#base] : [key, move(each)],
      );
      return Object.fromEntries(entries) as unknown;
    };
    return move(operation) as T;
  }

  /** Everything but the publish itself. */
  async #prepare(operation: Extract<Operation, { kind: 'publish' }>): Promise<() => Promise<Msg | string>> {
    const { bytes, expects, filter, scheduleInMs, subject } = operation;
    const lines: [string, string][] = operation.headers.map(([name, value]) => [name, value]);
    if (expects !== undefined) {
      const sequence = await this.#expected(expects, filter ?? subject);
      lines.push(['Nats-Expected-Last-Subject-Sequence', String(sequence)]);
      if (filter !== undefined) lines.push(['Nats-Expected-Last-Subject-Sequence-Subject', filter]);
    }
    if (scheduleInMs !== undefined) {
      lines.push(['Nats-Schedule', `@at ${new Date(this.#tried.now() + scheduleInMs).toISOString()}`]);
    }
    const options = { timeout: 5_000, ...(lines.length === 0 ? {} : { headers: headersOf(lines) }) };
    return () => this.#tried.connection.request(subject, 'x'.repeat(bytes), options).catch(whatFailed);
  }

  /** On a burst, the right sequence is that of before. */
  async #expected(expects: Expectation, filter: string): Promise<number> {
    if (expects !== 'right') return expects;
    const answer = await this.#ask('$JS.API.STREAM.MSG.GET.S', { last_by_subj: filter });
    return typeof answer === 'string' ? 0 : (answer.json<{ message?: { seq: number } }>().message?.seq ?? 0);
  }

  async #pull({ name, request, usesPin }: Extract<Operation, { kind: 'pull' }>): Promise<string> {
    const pin = usesPin ? this.#lastPin.get(name) : undefined;
    const subject = `$JS.API.CONSUMER.MSG.NEXT.S.${name}`;
    const { batch = 1 } = request as { batch?: number };
    const whole = { ...request, ...(pin && { id: pin }) };
    const messages = await this.#gather(this.#tried.connection, subject, whole, batch);
    return messages
      .map((message) => {
        const found = message.headers?.get('Nats-Pin-Id') ?? '';
        if (found !== '') {
          this.#lastPin.set(name, found);
          if (!this.#pins.has(found)) this.#pins.set(found, `pin-${this.#pins.size + 1}`);
        }
        if (message.reply?.startsWith('$JS.ACK.') === true) {
          this.#deliveries.push({ reply: message.reply, text: message.subject });
        }
        return this.#named(showMessage(message));
      })
      .join(' ; ');
  }

  async #acknowledge(at: number, body: string): Promise<string> {
    const delivery = this.#deliveries.at(-1 - at);
    if (delivery === undefined) return 'nothing to acknowledge';
    const answer = await this.#tried.connection.request(delivery.reply, body, { timeout: 700 }).catch(whatFailed);
    return typeof answer === 'string' ? answer : `${delivery.text} ${body} ${answer.string()}`;
  }

  /** A stream that was just deleted can be in the way for a moment. */
  async #created(settings: object): Promise<Msg | string> {
    for (let tries = 0; ; tries++) {
      const answer = await this.#ask('$JS.API.STREAM.CREATE.S', settings);
      const code =
        typeof answer === 'string' ? 0 : (answer.json<{ error?: { err_code: number } }>().error?.err_code ?? 0);
      if (code !== 10_005 || tries === 40) return answer;
      await this.#tried.sleep(250);
    }
  }

  async #ask(subject: string, request: object | undefined): Promise<Msg | string> {
    const data = request === undefined ? '' : JSON.stringify(request);
    return await this.#tried.connection.request(subject, data, { timeout: 5_000 }).catch(whatFailed);
  }

  /** The messages of an answer: so many, or up to one with a status. */
  async #gather(
    connection: NatsConnection,
    subject: string,
    request: object | undefined,
    most: number,
  ): Promise<Msg[]> {
    const found: Msg[] = [];
    const inbox = `_INBOX.gather.${this.#tried.now()}.${++this.#inboxes}`;
    let isOver: () => void = () => {};
    const over = new Promise<void>((resolve) => (isOver = resolve));
    const subscription = connection.subscribe(inbox, {
      callback: (_error, message) => {
        found.push(message);
        const code = message.headers?.code ?? 0;
        if (code >= 200 || found.length === most) isOver();
      },
    });
    connection.publish(subject, request === undefined ? '' : JSON.stringify(request), { reply: inbox });
    await Promise.race([over, this.#tried.sleep(GATHER_MS)]);
    subscription.unsubscribe();
    await connection.flush();
    return found;
  }

  #readAck(answer: Msg | string): string {
    return typeof answer === 'string' ? answer : this.#json(answer);
  }

  #json(answer: Msg | string): string {
    if (typeof answer === 'string') return answer;
    const body = answer.json<Record<string, unknown>>();
    return this.#named(JSON.stringify(cleaned(body)));
  }

  #named(text: string): string {
    let named = text;
    for (const [pin, name] of this.#pins) named = named.replaceAll(pin, name);
    return named.replaceAll(/"pinned_client_id":"(?!pin-)[^"]+"/g, '"pinned_client_id":"a pin"');
  }

  #see(message: Msg): void {
    if (message.subject.includes('LEADER_ELECTED') || message.subject.includes('API')) return;
    if (message.subject.startsWith('evt.')) this.#events.push(showMessage(message));
    else {
      const { action, reason, stream } = message.json<Record<string, string>>();
      this.#events.push(`${message.subject} ${action} ${stream} ${reason}`);
    }
  }
}

function headersOf(lines: Headers): ReturnType<typeof newHeaders> {
  const found = newHeaders();
  for (const [name, value] of lines) found.append(name, value);
  return found;
}

function whatFailed(error: unknown): string {
  return (error as Error).constructor.name === 'TimeoutError' ? 'no answer' : `no responders`;
}

function racing(text: string): string {
  return text
    .replaceAll(/.*"err_code":(?:10071|10164).*/g, 'lost the race')
    .replaceAll(/.*(?:"duplicate":true|"err_code":10158).*/g, 'known id');
}

const TIMES = new Set(['Nats-Time-Stamp']);

function showMessage({ data, headers, reply = '', subject }: Msg): string {
  const lines =
    headers === undefined ? [] : headers.keys().flatMap((name) => headers.values(name).map((v) => [name, v]));
  const shownLines = lines.map(([name = '', value = '']) => (TIMES.has(name) ? name : `${name}=${value}`)).join(',');
  // Without the time in it, and without how many messages are still to come, which a server only estimates.
  const ack = reply.replace(/(\.\d+)\.\d+\.\d+$/, '$1');
  const status = headers === undefined ? '' : headers.status;
  const to = subject.startsWith('_INBOX.gather') ? 'inbox' : subject;
  return `${to} ${ack} [${status}] {${shownLines.replaceAll(/@at [^,]+/g, '@at')}} ${data.length}`;
}

const TIME_KEYS = new Set([
  'created',
  'ts',
  'time',
  'first_ts',
  'last_ts',
  'last_active',
  'pinned_ts',
  'opt_start_time',
]);
const LEFT_OUT = new Set([
  'num_pending',
  // A cluster counts late.
  'consumer_count',
  'metadata',
  'cluster',
  'bytes',
  'did_create',
  'domain',
  'type',
  'num_deleted',
  'deleted',
  'consumer_limits',
  'persist_mode',
  'api',
  'push_bound',
  'allow_msg_counter',
  'allow_atomic',
  'allow_batched',
]);

/** Without what differs between any two servers. */
function cleaned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cleaned);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !LEFT_OUT.has(key))
      .map(([key, each]) => [key, shown(key, each)] as const)
      .filter(([, each]) => each !== undefined && each !== false)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );
}

function shown(key: string, value: unknown): unknown {
  if (TIME_KEYS.has(key)) return undefined;
  if (key === 'hdrs')
    return Buffer.from(value as string, 'base64')
      .toString()
      .replaceAll(/@at [^\r]+/g, '@at');
  return cleaned(value);
}
