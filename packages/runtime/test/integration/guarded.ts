import { defineContract, HEADERS } from '@meshforge/protocol';
import { z } from 'zod';
import { annotate, commit, defineAgent } from '../../src/index.ts';
import { readCommits, type Commit } from '../support/stream-witness.ts';
import { sendCommand, type NatsConnection, type RawCommand, type RawReply } from '../support/wire.ts';

const none = z.strictObject({});

/** What the clients of the agent `guarded` know of it. */
export const guardedContract = defineContract({
  name: 'guarded',
  description: 'Counts, under leases that others give out and with one of its own.',
  state: z.strictObject({ n: z.int(), kept: z.boolean(), note: z.string().optional() }),
  actions: {
    open: { data: none, event: 'opened' },
    add: { data: z.strictObject({ by: z.int() }), event: 'added' },
    close: { data: none, event: 'closed' },
    keep: { data: z.strictObject({ ms: z.int(), note: z.string().default('') }), event: 'kept' },
    remark: { data: none, event: 'remarked' },
    sign: { data: none, event: 'signed', requiresLease: true },
    seal: { data: z.strictObject({ seal: z.string() }), event: 'sealed', requiresLease: true },
    tidy: { data: none, event: 'tidied', internal: true },
  },
  expiryEvent: 'lapsed',
});

const { actions, expiryEvent } = guardedContract;
type State = z.output<typeof guardedContract.state>;

const signed = (state: State): State => ({ ...state, n: state.n + 1 });

export const guarded = defineAgent({
  ...guardedContract,
  actions: {
    open: { ...actions.open, entity: 'absent', rule: () => ({ n: 0, kept: false }) },
    add: { ...actions.add, entity: 'present', rule: (state, { by }) => ({ ...state, n: state.n + by }) },
    close: { ...actions.close, entity: 'present', rule: () => null },
    keep: {
      ...actions.keep,
      entity: 'any',
      rule: (state, { ms, note }, { now }) => commit({ n: state?.n ?? 0, kept: true, note }, { expiresAt: now + ms }),
    },
    remark: { ...actions.remark, entity: 'present', rule: () => annotate('seen') },
    sign: { ...actions.sign, entity: 'present', rule: signed },
    seal: {
      ...actions.seal,
      entity: 'present',
      requiresLease: ({ entityId, data }) => `${data.seal} of ${entityId}`,
      rule: signed,
    },
    tidy: { ...actions.tidy, entity: 'present', rule: (state) => ({ ...state, n: 0 }) },
  },
  lease: { events: ['kept'], expiryEvent, expire: (state) => ({ ...state, kept: false }) },
});

export type More = Partial<RawCommand> & { token?: number; resource?: string };

/** An entity of the agent, as its callers and its log have it. */
export class GuardedEntity {
  readonly id: string;
  readonly #connection: NatsConnection;

  constructor(connection: NatsConnection, id: string) {
    this.#connection = connection;
    this.id = id;
  }

  /** A command under the lease on `job` with the given token; without a token, under none. */
  send(action: string, { token, resource = 'job', ...more }: More = {}): Promise<RawReply> {
    const lease = token === undefined ? {} : { lease: { resource, fencing_token: token } };
    return sendCommand(this.#connection, 'guarded', action, { entityId: this.id, data: {}, ...lease, ...more });
  }

  add(token: number, more: More = {}): Promise<RawReply> {
    return this.send('add', { token, data: { by: 1 }, ...more });
  }

  async commits(): Promise<Commit[]> {
    return (await readCommits(this.#connection, 'guarded')).filter(({ entityId }) => entityId === this.id);
  }
}

export function fencesOf(stored: Commit): string {
  return stored.headers.get(HEADERS.fences);
}

/** Headers of a message as a writer of its own would set them: the server's are left out. */
export function ownHeaders({ headers }: Commit): Commit['headers'] {
  for (const name of headers.keys()) if (name.startsWith('Nats-')) headers.delete(name);
  return headers;
}
