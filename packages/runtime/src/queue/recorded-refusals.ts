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
/** Of what says that there is none. By the time to live it is told from a refusal, also by those who know of refusals only. */
const TTL_OF_NONE = '599s';

export type Refusal = Extract<StoreOutcome, { code: string }>;

/**
 * What was written down of the command at a sequence, if it was refused. If not, no refusal of before can be written down any
 * more: one that was sent and is still on its way would come behind a commit that was told.
 * @throws NoAnswerError
 */
export async function recordedRefusal(
  requester: RequestPort,
  agent: string,
  sequence: number,
): Promise<Refusal | undefined> {
  return await write(requester, agent, sequence, undefined);
}

/** @returns what stands, which may be an earlier refusal of the same command @throws NoAnswerError: it may be written down */
export async function recordRefusal(
  requester: RequestPort,
  agent: string,
  sequence: number,
  refusal: Refusal,
): Promise<Refusal> {
  return (await write(requester, agent, sequence, refusal)) ?? refusal;
}

/** @returns the refusal that stands then */
async function write(
  requester: RequestPort,
  agent: string,
  sequence: number,
  refusal: Refusal | undefined,
): Promise<Refusal | undefined> {
  const subject = refusedSubject(agent, sequence);
  const body = refusal === undefined ? new Uint8Array() : utf8(JSON.stringify(refusal));
  const ttl = refusal === undefined ? TTL_OF_NONE : TTL;
  let found: Found = { sequence: 0 };
  for (;;) {
    const lines = [['Nats-TTL', ttl] as const, ...expecting(found.sequence)];
    const ack = await storeExpecting(requester, subject, body, lines);
    if (ack.kind === 'stored') return refusal;
    const before = found.sequence;
    if (ack.kind === 'lost_race') found = await look(requester, agent, sequence);
    if (found.refusal !== undefined) return found.refusal;
    if (found.sequence === before) throw new NoAnswerError(commandStream(agent), 'why' in ack ? ack.why : ack.kind);
  }
}

interface Found {
  /** Of what stands there; 0 = nothing. */
  sequence: number;
  refusal?: Refusal;
}

async function look(requester: RequestPort, agent: string, sequence: number): Promise<Found> {
  const found = await lastMessage(requester, commandStream(agent), refusedSubject(agent, sequence));
  if (found === undefined) return { sequence: 0 };
  const { data, headers, sequence: at } = found;
  // Who may send, but not write here, can still have the server do so by a schedule. The server says that it did, unless the
  // headers are unreadable, and then there are none.
  const isOwn = headers.get('Nats-TTL') === TTL && !headers.has('Nats-Scheduler');
  return isOwn ? { sequence: at, refusal: JSON.parse(Buffer.from(data).toString()) as Refusal } : { sequence: at };
}
