import { commandStream, DEAD_LETTERS_STREAM, entityStream, queuedCommandWildcard } from '@meshforge/protocol';
import type { Answer } from '../../../src/nats/requester.ts';
import { EXECUTOR } from '../../../src/queue/durable-commands.ts';
import { PINNED_CONSUMER } from '../../../src/queue/executor-consumer.ts';
import type { SimulatedTime } from '../simulated-time.ts';
import { SimulatedConsumer } from './consumer.ts';
import { answerOf, blockOf, errorOf, isMatch, messageOf, statusAnswer, type Lines } from './messages.ts';
import { SimulatedStream, type Kept } from './stream.ts';

const DIRECT_GET = '$JS.API.DIRECT.GET.';

/** The server as an agent's durable commands know it: their stream and its consumer, the log, and the dead letters. */
export class SimulatedBroker {
  readonly time: SimulatedTime;
  readonly commands: SimulatedStream;
  readonly log: SimulatedStream;
  readonly letters: SimulatedStream;
  readonly consumer: SimulatedConsumer;
  #isDown = false;

  constructor(time: SimulatedTime, agent: string, isReplicated: boolean) {
    this.time = time;
    const stream = (name: string): SimulatedStream => new SimulatedStream(time, name, isReplicated);
    this.commands = stream(commandStream(agent));
    this.log = stream(entityStream(agent));
    this.letters = stream(DEAD_LETTERS_STREAM);
    this.consumer = new SimulatedConsumer({
      time,
      stream: this.commands,
      name: EXECUTOR,
      filter: queuedCommandWildcard(agent),
      pinMs: PINNED_CONSUMER.priority_timeout / 1_000_000,
      backoffMs: PINNED_CONSUMER.backoff.map((ns) => ns / 1_000_000),
    });
    this.commands.onStored = () => this.consumer.serve();
    this.commands.onRemoved = ({ sequence }) => this.consumer.forget(sequence);
    this.commands.isDown = () => this.#isDown;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  /** Nobody leads for so long; what was pinned is not any more. */
  async goDown(ms: number): Promise<void> {
    if (this.#isDown) return;
    this.#isDown = true;
    for (const stream of [this.commands, this.log, this.letters]) stream.changeLeader();
    this.consumer.changeLeader();
    await this.time.sleep(ms);
    this.#isDown = false;
    this.consumer.serve();
  }

  /** Undefined when no answer will come. */
  async request(subject: string, data: Uint8Array, lines: Lines): Promise<Answer | undefined> {
    if (this.#isDown) return this.time.draw(2) < 1 ? statusAnswer('503') : undefined;
    if (subject.startsWith(DIRECT_GET)) return this.#directGet(subject.slice(DIRECT_GET.length), data);
    if (subject.startsWith('$JS.API.')) return answerOf(this.#api(subject.slice('$JS.API.'.length), data));
    const stream = [this.commands, this.log, this.letters].find(({ name }) => name === streamOf(subject, this));
    const ack = await (stream as SimulatedStream).publish(subject, data, lines);
    return ack === undefined ? undefined : answerOf(ack);
  }

  #api(verb: string, data: Uint8Array): object {
    const request = data.length === 0 ? {} : (JSON.parse(new TextDecoder().decode(data)) as Wanted);
    const name =
      verb
        .split('.')
        .slice(2)
        .find((token) => token !== 'GET' && token !== 'DELETE') ?? '';
    const stream = this.#named(name);
    if (verb.startsWith('CONSUMER.INFO.')) return this.consumer.info;
    if (verb.startsWith('CONSUMER.UNPIN.')) {
      this.consumer.unpin();
      return {};
    }
    if (verb.startsWith('STREAM.MSG.DELETE.')) {
      if (stream.remove(request.seq ?? 0)) return { success: true };
      return errorOf(404, 10043, 'sequence not found');
    }
    if (!verb.startsWith('STREAM.MSG.GET.')) throw new TypeError(`no such API: ${verb}`);
    const found = find(stream, request);
    if (found === undefined) return errorOf(404, 10037, 'no message found');
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
    const time = new Date(found.storedAt).toISOString();
    const hdrs = base64(blockOf(found.lines));
    return { message: { subject: found.subject, seq: found.sequence, time, hdrs, data: base64(found.data) } };
  }

  #directGet(target: string, data: Uint8Array): Answer {
    const dot = target.indexOf('.');
    const wanted =
      dot === -1 ? (JSON.parse(new TextDecoder().decode(data)) as Wanted) : { last_by_subj: target.slice(dot + 1) };
    const found = find(this.#named(dot === -1 ? target : target.slice(0, dot)), wanted);
    if (found === undefined) return statusAnswer('404');
    const lines: Lines = [
      ...found.lines,
      ['Nats-Subject', found.subject],
      ['Nats-Sequence', String(found.sequence)],
      ['Nats-Time-Stamp', new Date(found.storedAt).toISOString()],
    ];
    return { kind: 'answer', message: messageOf({ data: found.data, lines }) };
  }

  #named(name: string): SimulatedStream {
    const stream = [this.commands, this.log, this.letters].find((each) => each.name === name);
    if (stream === undefined) throw new TypeError(`no such stream: ${name}`);
    return stream;
  }
}

interface Wanted {
  seq?: number;
  next_by_subj?: string;
  last_by_subj?: string;
}

function find(stream: SimulatedStream, { seq, next_by_subj: next, last_by_subj: last }: Wanted): Kept | undefined {
  if (last !== undefined) return stream.lastOf(last);
  if (next === undefined) return stream.first(({ sequence }) => sequence === seq);
  return stream.first(({ sequence, subject }) => sequence >= (seq ?? 0) && isMatch(subject, next));
}

function streamOf(subject: string, { commands, letters, log }: SimulatedBroker): string {
  if (subject.startsWith('queue.')) return commands.name;
  return subject.startsWith('dead.') ? letters.name : log.name;
}
