import {
  agentToken,
  DEAD_LETTERS_STREAM,
  DeadLetterNote,
  deadLetterFilter,
  deadLetterSubject,
  decode,
  HEADERS,
  LIMITS,
  parseSubject,
  printable,
  type DeadLetter,
} from '@meshforge/protocol';
import { MeshError } from '../errors.ts';
import { expecting, storeExpecting } from '../nats/expecting.ts';
import { readPublishAck } from '../nats/jetstream-errors.ts';
import { rawHeaders } from '../nats/raw-headers.ts';
import type { RequestPort } from '../nats/requester.ts';
import type { StoredMessage } from '../nats/stored-message.ts';
import { utf8 } from '../nats/utf8.ts';
import { deleteMessage, lastMessage, nextMessage } from '../nats/stored-messages.ts';
import { identityOf, type QueuedMessage } from './delivery.ts';

/** Why a message is dead. */
export interface Death {
  code: string;
  reason: string;
  tries: number;
  /** Milliseconds since the epoch, by the server's clock. */
  at: number;
}

/** A letter with all that is kept of it. */
export interface WholeLetter {
  letter: DeadLetter;
  headers: [string, string][];
  data: Uint8Array;
}

/** The dead letters of one agent, in the stream of all. */
export class DeadLetters {
  readonly #requester: RequestPort;
  readonly #owner: string;

  constructor(requester: RequestPort, owner: string) {
    this.#requester = requester;
    this.#owner = owner;
  }

  /** Stores a letter; once, however often it is asked. @returns why it could not; undefined: it is stored */
  async add(message: QueuedMessage, { at, code, reason, tries }: Death): Promise<string | undefined> {
    const { data, headers, sequence, storedAt, subject } = message;
    const note: DeadLetterNote = {
      subject,
      sequence,
      code,
      reason: printable(reason, LIMITS.reasonCharacters),
      tries,
      stored_at: new Date(storedAt).toISOString(),
      died_at: new Date(at).toISOString(),
    };
    // The same message has the same subject, and nothing is stored behind what stands there.
    const letter = deadLetterSubject(this.#owner, identityOf(message));
    const lines = [...ownHeaders(headers), [HEADERS.deadLetter, asciiJson(note)] as const, ...expecting(0)];
    const ack = await storeExpecting(this.#requester, letter, data, lines);
    if (ack.kind === 'stored') return undefined;
    if (ack.kind !== 'lost_race') return 'why' in ack ? ack.why : ack.kind;
    // It is there, or on its way there and may not arrive.
    const stored = await nextMessage(this.#requester, DEAD_LETTERS_STREAM, letter, 1);
    return stored === undefined ? 'it is being stored' : undefined;
  }

  /** The next letter after an id. @throws NoAnswerError */
  async after(id: number): Promise<WholeLetter | undefined> {
    for (let from = id + 1; ;) {
      const stored = await nextMessage(this.#requester, DEAD_LETTERS_STREAM, deadLetterFilter(this.#owner), from);
      if (stored === undefined) return undefined;
      const letter = readLetter(stored);
      if (letter !== undefined) return letter;
      from = stored.sequence + 1;
    }
  }

  /** The id of the newest letter; 0 = there is none. @throws NoAnswerError */
  async newest(): Promise<number> {
    const filter = deadLetterFilter(this.#owner);
    return (await lastMessage(this.#requester, DEAD_LETTERS_STREAM, filter))?.sequence ?? 0;
  }

  /** @throws NoAnswerError */
  async get(id: number): Promise<WholeLetter | undefined> {
    const found = await this.after(id - 1);
    return found?.letter.id === id ? found : undefined;
  }

  /** @returns whether it was there @throws NoAnswerError */
  drop(id: number): Promise<boolean> {
    return deleteMessage(this.#requester, DEAD_LETTERS_STREAM, id);
  }

  /**
   * Puts a letter back where it was; it stays a letter until it is dropped.
   * @returns why not; undefined: it is done
   * @throws MeshError `rejected`: it was nowhere where it could be put back
   */
  async putBack({ data, headers, letter }: WholeLetter): Promise<string | undefined> {
    // This process may also write its log, and a letter is not proof of where it was.
    const parsed = parseSubject(letter.subject);
    if (parsed?.kind !== 'queued' || parsed.agent !== agentToken(this.#owner)) {
      const where = JSON.stringify(printable(letter.subject, LIMITS.reasonCharacters));
      throw new MeshError({ code: 'rejected', message: `subject ${where} is not this agent's command queue` });
    }
    // Not under the id that the command was first sent with: the stream would take it for a repetition, and store nothing.
    const lines: [string, string][] = [...headers, ['Nats-Msg-Id', `letter-${letter.id}-${letter.died_at}`]];
    const ack = readPublishAck(await this.#requester.request(letter.subject, data, rawHeaders(lines)));
    if (ack.kind === 'stored' || ack.kind === 'duplicate') return undefined;
    return 'why' in ack ? ack.why : ack.kind;
  }
}

function readLetter({ data, headers, sequence, time }: StoredMessage): WholeLetter | undefined {
  const note = decode(DeadLetterNote, utf8(headers.get(HEADERS.deadLetter)));
  // Whatever else lies in the stream: it can be seen, and dropped.
  const known = note.ok ? note.value : unknown(sequence, time);
  const letter = {
    id: sequence,
    ...known,
    command_id: headers.get(HEADERS.commandId),
    entity_id: entityIdOf(known.subject),
    bytes: data.length,
  };
  return { letter, headers: ownHeaders(headers), data };
}

const NOT_A_SENDERS = new RegExp(`^(?:nats-|${HEADERS.deadLetter}$)`, 'i');

function unknown(sequence: number, time: string): DeadLetterNote {
  const at = new Date(time).toISOString();
  const reason = 'nobody has written why it is dead';
  return { subject: '', sequence, code: 'unknown', reason, tries: 1, stored_at: at, died_at: at };
}

/** The headers that are a sender's, and neither the server's nor the note, which a sender must not be able to write. */
function ownHeaders(headers: QueuedMessage['headers']): [string, string][] {
  if (headers === undefined || headers === 'unreadable') return [];
  return headers
    .keys()
    .filter((name) => !NOT_A_SENDERS.test(name))
    .map((name) => [name, headers.get(name)]);
}

function entityIdOf(subject: string): string | null {
  const parsed = parseSubject(subject);
  return parsed !== undefined && 'entityId' in parsed ? parsed.entityId : null;
}

/** Header values are ASCII: everything else is escaped as JSON can. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
