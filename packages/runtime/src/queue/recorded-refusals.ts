/**
 * The refusals of durable commands, written down before they are told.
 *
 * A commit is in the entity's log, where whoever executes a command once more finds it. A refusal changes nothing: unless it
 * is written down, a command whose refusal was told, and whose acknowledgement was lost, would be decided anew, and might commit.
 */
import { commandStream, refusedSubject } from '@meshforge/protocol';
import type { StoreOutcome } from '../core/outcome.ts';
import { expecting, storeExpecting } from '../nats/expecting.ts';
import { NoAnswerError } from '../nats/jetstream-errors.ts';
import type { RequestPort } from '../nats/requester.ts';
import { lastMessage } from '../nats/stored-messages.ts';
import { utf8 } from '../nats/utf8.ts';

/** How long it stays: longer than it takes another replica to go on. */
const TTL = '600s';
/**
 * Of what says that there is none: longer than a refusal that was sent may be on its way, and no longer, for it counts among the
 * messages of the queue. By the time to live it is told from a refusal, also by those who know of refusals only.
 */
const TTL_OF_NONE = '10s';

export type Refusal = Extract<StoreOutcome, { code: string }>;

/** What is written down of a command: its refusal; or that there is none, and where: 0 = nowhere. */
export type Written = { refusal: Refusal } | { none: number };

/**
 * What is written down of the command at a sequence; after this at least that it is not refused. A refusal of before that is
 * still on its way cannot be stored behind that: it would come behind a commit that was told.
 * @throws NoAnswerError
 */
export async function recordedRefusal(requester: RequestPort, agent: string, sequence: number): Promise<Written> {
  return await write(requester, agent, sequence, undefined, 0);
}

/**
 * @param none where it is written that there is none
 * @returns what stands, which may be an earlier refusal of the same command
 * @throws NoAnswerError: it may be written down, or another replica decides the command by now
 */
export async function recordRefusal(
  requester: RequestPort,
  agent: string,
  sequence: number,
  refusal: Refusal,
  none: number,
): Promise<Refusal> {
  const written = await write(requester, agent, sequence, refusal, none);
  return 'refusal' in written ? written.refusal : refusal;
}

async function write(
  requester: RequestPort,
  agent: string,
  sequence: number,
  refusal: Refusal | undefined,
  none: number,
): Promise<Written> {
  const subject = refusedSubject(agent, sequence);
  const body = refusal === undefined ? new Uint8Array() : utf8(JSON.stringify(refusal));
  const ttl = refusal === undefined ? TTL_OF_NONE : TTL;
  let found: Found = { sequence: none };
  for (;;) {
    const lines = [['Nats-TTL', ttl] as const, ...expecting(found.sequence)];
    const ack = await storeExpecting(requester, subject, body, lines);
    if (ack.kind === 'stored') return refusal === undefined ? { none: ack.sequence } : { refusal };
    const before = found.sequence;
    if (ack.kind === 'lost_race') found = await look(requester, agent, sequence);
    if (found.refusal !== undefined) return { refusal: found.refusal };
    const isAnothers = refusal !== undefined && found.isNone === true;
    if (found.sequence === before || isAnothers) {
      throw new NoAnswerError(commandStream(agent), 'why' in ack ? ack.why : ack.kind);
    }
  }
}

interface Found {
  /** Of what stands there; 0 = nothing. */
  sequence: number;
  refusal?: Refusal;
  /** Whether it says that there is none. */
  isNone?: boolean;
}

async function look(requester: RequestPort, agent: string, sequence: number): Promise<Found> {
  const found = await lastMessage(requester, commandStream(agent), refusedSubject(agent, sequence));
  if (found === undefined) return { sequence: 0 };
  const { data, headers, sequence: at } = found;
  // Who may send, but not write here, can still have the server do so by a schedule. The server says that it did, unless the
  // headers are unreadable, and then there are none.
  const isOwn = !headers.has('Nats-Scheduler');
  const ttl = headers.get('Nats-TTL');
  if (isOwn && ttl === TTL) {
    return { sequence: at, refusal: JSON.parse(Buffer.from(data).toString()) as Refusal };
  }
  return { sequence: at, isNone: isOwn && ttl === TTL_OF_NONE };
}
