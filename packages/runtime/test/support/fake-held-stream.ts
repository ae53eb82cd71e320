/** The stream of held commands in memory, and replicas of an agent that share it. */
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import type { Clock } from '../../src/clock.ts';
import type { HeldCommand } from '../../src/core/companion.ts';
import { StoredHeldCommands } from '../../src/nats/held-commands.ts';
import type { Answer, RequestPort } from '../../src/nats/requester.ts';

export interface Stored {
  subject: string;
  seq: number;
  data: Uint8Array;
  headers: MsgHdrs | undefined;
}

const clock: Clock = { wall: () => 0, monotonic: () => 0, sleep: () => Promise.resolve(), random: () => 0.5 };

/** A stream that keeps its messages until they are purged, and tells whoever listens. */
export class FakeStream implements RequestPort {
  messages: Stored[] = [];
  /** How many requests are lost from now on. */
  lost = 0;
  /** How many acknowledgements of stores are lost from now on. */
  lostAcks = 0;
  /** Nobody hears of what is stored from now on. */
  isDeaf = false;
  readonly #listeners: ((message: Msg) => void)[] = [];
  readonly #ids = new Set<string>();
  #sequence = 0;

  readonly connection = {
    subscribe: (_subject: string, { callback }: { callback: (error: null, message: Msg) => void }) => {
      this.#listeners.push((message) => callback(null, message));
      return { unsubscribe: () => {} };
    },
    publish: (subject: string, data: Uint8Array) => this.tell(subject, data),
  } as never;

  request(subject: string, data: Uint8Array, raw?: MsgHdrs): Promise<Answer> {
    const headers = raw === undefined ? undefined : MsgHdrsImpl.decode((raw as MsgHdrsImpl).encode());
    if (this.lost-- > 0) return Promise.resolve({ kind: 'lost', why: 'test' });
    if (subject.startsWith('$JS.API.STREAM.PURGE')) return Promise.resolve(this.#purge(data));
    if (subject.startsWith('$JS.API.STREAM.INFO')) return Promise.resolve(this.#info());
    if (subject.startsWith('$JS.API')) return Promise.resolve(this.#read(data));
    const expected = headers?.get('Nats-Expected-Last-Subject-Sequence') ?? '';
    const last = this.messages.findLast((message) => message.subject === subject)?.seq ?? 0;
    if (expected !== '' && Number(expected) !== last) {
      return Promise.resolve(answer({ error: { code: 400, err_code: 10071, description: 'wrong last sequence' } }));
    }
    const id = headers?.get('Nats-Msg-Id') ?? '';
    if (this.#ids.has(id)) return Promise.resolve(answer({ seq: 1, duplicate: true }));
    if (id !== '') this.#ids.add(id);
    const stored = answer({ seq: this.publish(subject, data, headers) });
    return Promise.resolve(this.lostAcks-- > 0 ? { kind: 'lost', why: 'test' } : stored);
  }

  publish(subject: string, data: Uint8Array, headers?: MsgHdrs): number {
    this.messages.push({ subject, seq: ++this.#sequence, data, headers });
    this.tell(subject, data);
    return this.#sequence;
  }

  tell(subject: string, data: Uint8Array): void {
    if (this.isDeaf) return;
    for (const listener of this.#listeners) listener({ subject, data } as unknown as Msg);
  }

  #purge(request: Uint8Array): Answer {
    const { filter, seq = Infinity } = JSON.parse(new TextDecoder().decode(request)) as {
      filter: string;
      seq?: number;
    };
    const left = this.messages.filter((message) => message.subject !== filter || message.seq >= seq);
    const purged = this.messages.length - left.length;
    this.messages = left;
    return answer({ success: true, purged });
  }

  #info(): Answer {
    const subjects = Object.fromEntries(this.messages.map(({ subject }) => [subject, 1]));
    return answer({ state: { messages: this.messages.length, subjects } });
  }

  #read(request: Uint8Array): Answer {
    const wanted = JSON.parse(new TextDecoder().decode(request)) as {
      seq?: number;
      next_by_subj?: string;
      last_by_subj?: string;
    };
    const filter = wanted.next_by_subj ?? wanted.last_by_subj ?? '';
    const pattern = new RegExp(`^${filter.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}$`);
    const isWanted = ({ seq, subject }: Stored): boolean => seq >= (wanted.seq ?? 0) && pattern.test(subject);
    const found = wanted.last_by_subj === undefined ? this.messages.find(isWanted) : this.messages.findLast(isWanted);
    if (found === undefined) return answer({ error: { code: 404, err_code: 10037, description: 'no message found' } });
    const { data, seq, subject } = found;
    return answer({ message: { subject, seq, data: Buffer.from(data).toString('base64') } });
  }
}

function answer(body: unknown): Answer {
  const data = new TextEncoder().encode(JSON.stringify(body));
  return { kind: 'answer', message: { data, json: () => body } as unknown as Msg };
}

export const AGENT = 'sys_lock_manager';

export function replica(stream: FakeStream): StoredHeldCommands {
  const held = new StoredHeldCommands({
    connection: stream.connection,
    requester: stream,
    agent: AGENT,
    clock,
    serverNow: () => 0,
  });
  held.listen();
  return held;
}

export const DENIED = {
  kind: 'denied',
  event: 'denied',
  payload: '{}',
  code: 'held',
  reason: 'held by another',
} as const;

export const command = (commandId: string, entityId = 'e', reply = '_INBOX.x'): HeldCommand => ({
  entityId,
  action: 'acquire',
  data: { owner_id: commandId },
  commandId,
  headers: [['Mesh-Command-Id', commandId]],
  reply,
  since: 1,
  until: 1_000,
  keeper: 'k',
});
