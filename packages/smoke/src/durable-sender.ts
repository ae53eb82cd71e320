import { createHash, hash } from 'node:crypto';
import {
  decidedFilter,
  decidedSubject,
  decode,
  delayedCommandSubject,
  encode,
  HEADERS,
  inventoryContract,
  queuedCommandSubject,
} from '@meshforge/protocol';
import { createInbox, headers as newHeaders, type Msg, type Payload } from '@nats-io/transport-node';
import { z } from 'zod';
import { ask, permissionViolation } from './ask.ts';
import type { CheckContext } from './check-context.ts';
import { CheckFailed, CheckSkipped } from './check.ts';
import { show } from './expect.ts';
import { headerOf, readReply, type Reply } from './reply.ts';
import { replyLine, requestLine } from './traffic.ts';

/** JetStream's word that a message is stored. */
const Ack = z.object({ stream: z.string(), seq: z.int().min(1), duplicate: z.boolean().optional() });
export type Ack = z.output<typeof Ack>;
const Refusal = z.object({ error: z.object({ err_code: z.int(), description: z.string() }) });

const wrongLastSequence = 10_071;
/** No message has this one: who expects it changes nothing, and is told which one there is. */
const noSequence = Number.MAX_SAFE_INTEGER;
/** Interest in an inbox reaches the other members of a cluster a little later. */
const clusterSettleMs = 100;

function expecting(sequence: number, of?: string): [string, string][] {
  const header = 'Nats-Expected-Last-Subject-Sequence';
  return [[header, String(sequence)], ...(of === undefined ? [] : [[`${header}-Subject`, of] as [string, string]])];
}

/** Names a delayed command in subjects. Under this key the agent finds it when somebody asks for its outcome. */
function keyOf(commandId: string): string {
  return hash('sha256', commandId, 'base64url').slice(0, 12);
}

/** Of all that makes a durable command: where it goes, when, and what it says. */
function digestOf(lines: readonly string[], body: Payload): string {
  return createHash('sha256').update(lines.join('\n')).update('\n').update(body).digest('base64url').slice(0, 22);
}

/** A durable command that is stored. */
export interface Stored {
  readonly ack: Ack;
  readonly commandId: string;
  /** Where it was published. */
  readonly subject: string;
}

export interface StoreOptions {
  /** The command of that id once more. */
  readonly commandId?: string;
  /** When it is to be executed, by the server's clock. */
  readonly at?: Date;
}

/** Stores durable commands to the inventory and hears of their outcomes, as any client in any language can. */
export class DurableSender {
  readonly #context: CheckContext;
  readonly #inbox: string;
  readonly #told: Msg[] = [];

  private constructor(context: CheckContext) {
    this.#context = context;
    this.#inbox = createInbox(context.inboxPrefix);
  }

  /** @throws CheckSkipped when this user may not send durable commands */
  static async open(context: CheckContext): Promise<DurableSender> {
    const sender = new DurableSender(context);
    // Asked before anything is made that would have to be taken back.
    const nothing = context.newId('nothing');
    await sender.waiting(delayedCommandSubject(inventoryContract.name, nothing, nothing));
    const { connection } = context;
    const subscription = connection.subscribe(sender.#inbox, {
      callback: (error, message) => {
        if (error === null) sender.#told.push(message);
      },
    });
    context.whenDone('the inbox of outcomes', () => subscription.unsubscribe());
    await connection.flush();
    if (connection.info?.cluster !== undefined) await context.sleep(clusterSettleMs);
    return sender;
  }

  async send(action: string, entityId: string, data: object, options: StoreOptions = {}): Promise<Stored> {
    return await this.sendBody(action, entityId, encode({ entity_id: entityId, data }), options);
  }

  /** For bodies that no correct client would send. */
  async sendBody(action: string, entityId: string, body: Payload, options: StoreOptions = {}): Promise<Stored> {
    const { at, commandId = this.#context.newId('durable') } = options;
    const target = queuedCommandSubject(inventoryContract.name, entityId, action);
    const subject =
      at === undefined ? target : delayedCommandSubject(inventoryContract.name, entityId, keyOf(commandId));
    const lines: [string, string][] = [
      [HEADERS.commandId, commandId],
      [HEADERS.outcomeTo, this.#inbox],
      // Repetitions of this very command are stored once. Another one under its id is stored, and the agent refuses it.
      ['Nats-Msg-Id', `${commandId} ${digestOf([target, at?.toISOString() ?? ''], body)}`],
    ];
    if (at !== undefined) {
      lines.push(['Nats-Schedule', `@at ${at.toISOString()}`], ['Nats-Schedule-Target', target]);
      this.#context.whenDone(`${commandId}, which waits`, async () => void (await this.cancel({ commandId, subject })));
    }
    const message = await this.#publish(subject, body, lines);
    const ack = decode(Ack, message.data);
    if (ack.ok) return { ack: ack.value, commandId, subject };
    throw new CheckFailed(`${subject}: expected an acknowledgement of JetStream, got ${show(message.string())}`);
  }

  /** What became of a command, as it is told at the inbox. @param moreMs how long that may take beside the patience */
  async outcomeOf({ commandId, subject }: Stored, moreMs = 0): Promise<Reply> {
    const waitMs = this.#context.patienceMs + moreMs;
    const deadline = performance.now() + waitMs;
    do {
      const told = this.told(commandId)[0];
      if (told !== undefined) {
        const reply = readReply(subject, told);
        this.#context.onLine(replyLine(reply));
        return reply;
      }
      await this.#context.sleep(10);
    } while (performance.now() < deadline);
    throw new CheckFailed(`${subject}: expected the outcome of ${commandId} at its inbox within ${waitMs} ms`);
  }

  /** All that came to the inbox about a command. */
  told(commandId: string): Msg[] {
    return this.#told.filter((message) => headerOf(message, HEADERS.commandId) === commandId);
  }

  /** The sequence of what waits there, as the server's compare-and-set tells it; 0 = nothing does. */
  async waiting(subject: string): Promise<number> {
    const found = await this.#mark(subject, expecting(noSequence));
    if (found !== 'marked') return found;
    throw new CheckFailed(`${subject}: expected that no sequence is ${noSequence}, got a message stored behind it`);
  }

  /** Takes a command back. @returns whether that was in time */
  async cancel({ commandId, subject }: Pick<Stored, 'commandId' | 'subject'>): Promise<boolean> {
    const { name } = inventoryContract;
    const key = keyOf(commandId);
    const cancelled = decidedSubject(name, key, 'cancelled');
    const sequence = await this.waiting(subject);
    if (sequence === 0) return (await this.waiting(cancelled)) > 0;
    const decided = await this.#mark(cancelled, expecting(0, decidedFilter(name, key)), '60s');
    if (decided !== 'marked' && (await this.waiting(cancelled)) === 0) return false;
    await this.#mark(subject, [['Nats-Rollup', 'sub'], ...expecting(sequence)]);
    return true;
  }

  async #mark(subject: string, expectation: readonly [string, string][], ttl = '1s'): Promise<number | 'marked'> {
    const message = await this.#publish(subject, '', [['Nats-TTL', ttl], ...expectation]);
    if (decode(Ack, message.data).ok) return 'marked';
    const refusal = decode(Refusal, message.data);
    if (refusal.ok && refusal.value.error.err_code === wrongLastSequence) {
      const sequence = /(\d+)$/.exec(refusal.value.error.description)?.[1];
      if (sequence !== undefined) return Number(sequence);
    }
    throw new CheckFailed(`${subject}: expected "wrong last sequence: <number>", got ${show(message.string())}`);
  }

  async #publish(subject: string, body: Payload, lines: readonly [string, string][]): Promise<Msg> {
    const { connection, onLine, patienceMs: timeoutMs } = this.#context;
    const headers = newHeaders();
    for (const [name, value] of lines) headers.set(name, value);
    onLine(requestLine(subject, body));
    try {
      return await ask(connection, subject, body, { timeoutMs, headers });
    } catch (error) {
      if (permissionViolation(error) !== undefined) throw new CheckSkipped('this user may not send durable commands');
      throw error;
    }
  }
}
