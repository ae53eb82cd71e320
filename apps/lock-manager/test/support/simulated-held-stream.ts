import type { StoredHeldCommands } from '../../../../packages/runtime/test/support/internals.ts';
import type { SimulatedTime } from '../../../../packages/runtime/test/support/internals.ts';

type Options = ConstructorParameters<typeof StoredHeldCommands>[0];
type Message = Parameters<NonNullable<NonNullable<Parameters<Options['connection']['subscribe']>[1]>['callback']>>[1];
type Headers = Parameters<Options['requester']['request']>[2];
type Answer = Awaited<ReturnType<Options['requester']['request']>>;

interface Stored {
  subject: string;
  seq: number;
  data: Uint8Array;
}

/** How long a request waits for its answer, in milliseconds. */
const PATIENCE_MS = 1_000;

/** The stream of held commands in memory: each listener hears of a message after a while of its own, in order. */
export class SimulatedHeldStream {
  readonly #time: SimulatedTime;
  readonly #listeners: ((message: Message) => void)[] = [];
  #messages: Stored[] = [];
  readonly #ids = new Map<string, number>();
  /** Acknowledgements of stores that are lost from now on. */
  #toLose = 0;
  #landsAfterMs: number | undefined;
  #sequence = 0;

  constructor(time: SimulatedTime) {
    this.#time = time;
  }

  get size(): number {
    return this.#messages.length;
  }

  /** Loses the acknowledgements of the next stores. They are heard of at once, and land so late, or never. */
  lose(stores: number, landsAfterMs: number | undefined): void {
    this.#toLose = stores;
    this.#landsAfterMs = landsAfterMs;
  }

  /** What one replica has of it. */
  portOf(isDead: () => boolean): Pick<Options, 'connection' | 'requester'> {
    const time = this.#time;
    let heardAt = 0;
    const listen: Options['connection']['subscribe'] = (_subject, options) => {
      this.#listeners.push((message) => {
        heardAt = Math.max(heardAt, time.now + time.draw(4));
        void (async () => {
          await time.sleep(heardAt - time.now);
          if (!isDead()) void options?.callback?.(null, message);
        })();
      });
      return { unsubscribe: () => {} } as ReturnType<Options['connection']['subscribe']>;
    };
    const request = async (subject: string, data: Uint8Array, headers?: Headers): Promise<Answer> => {
      if (!subject.startsWith('$JS.API') && this.#toLose-- > 0) {
        await time.trip(() => this.#lose(subject, data, headers));
        await time.sleep(PATIENCE_MS);
        return isDead() ? await new Promise<never>(() => {}) : { kind: 'lost', why: 'its acknowledgement was lost' };
      }
      const answer = await time.trip(() => {
        if (subject.startsWith('$JS.API.STREAM.PURGE')) return this.#purge(data);
        if (subject.startsWith('$JS.API.STREAM.INFO')) return this.#info();
        return subject.startsWith('$JS.API') ? this.#read(data) : this.#publish(subject, data, headers);
      });
      return isDead() ? await new Promise<never>(() => {}) : answer;
    };
    const publish: Options['connection']['publish'] = (subject, data) => {
      void time.trip(() => this.#tell(subject, data as Uint8Array));
    };
    return { connection: { publish, subscribe: listen }, requester: { request } };
  }

  #publish(subject: string, data: Uint8Array, headers: Headers, isTold = false): Answer {
    const text = new TextDecoder().decode((headers as unknown as { encode(): Uint8Array }).encode());
    const header = (name: string): string => new RegExp(`^${name}: (.*)\r$`, 'm').exec(text)?.[1] ?? '';
    const expected = header('Nats-Expected-Last-Subject-Sequence');
    const last = this.#messages.findLast((message) => message.subject === subject)?.seq ?? 0;
    if (expected !== '' && Number(expected) !== last) {
      return answerOf({ error: { code: 400, err_code: 10071, description: 'wrong last sequence' } });
    }
    const id = header('Nats-Msg-Id');
    const first = this.#ids.get(id);
    if (first !== undefined) return answerOf({ seq: first, duplicate: true });
    this.#messages.push({ subject, seq: ++this.#sequence, data });
    if (id !== '') this.#ids.set(id, this.#sequence);
    if (!isTold) this.#tell(subject, data);
    return answerOf({ seq: this.#sequence });
  }

  #lose(subject: string, data: Uint8Array, headers: Headers): void {
    this.#tell(subject, data);
    const land = (): void => void this.#publish(subject, data, headers, true);
    if (this.#landsAfterMs !== undefined) void this.#time.sleep(this.#landsAfterMs).then(land);
  }

  #tell(subject: string, data: Uint8Array): void {
    for (const listener of this.#listeners) listener({ subject, data } as unknown as Message);
  }

  #purge(request: Uint8Array): Answer {
    const { filter, seq = Infinity } = JSON.parse(new TextDecoder().decode(request)) as {
      filter: string;
      seq?: number;
    };
    const left = this.#messages.filter((message) => message.subject !== filter || message.seq >= seq);
    const purged = this.#messages.length - left.length;
    this.#messages = left;
    return answerOf({ success: true, purged });
  }

  #info(): Answer {
    return answerOf({ state: { subjects: Object.fromEntries(this.#messages.map(({ subject }) => [subject, 1])) } });
  }

  #read(request: Uint8Array): Answer {
    const wanted = JSON.parse(new TextDecoder().decode(request)) as {
      seq?: number;
      next_by_subj?: string;
      last_by_subj?: string;
    };
    const [prefix = ''] = (wanted.next_by_subj ?? wanted.last_by_subj ?? '').split('*');
    const isWanted = ({ seq, subject }: Stored): boolean => seq >= (wanted.seq ?? 0) && subject.startsWith(prefix);
    const found = wanted.last_by_subj === undefined ? this.#messages.find(isWanted) : this.#messages.findLast(isWanted);
    if (found === undefined) {
      return answerOf({ error: { code: 404, err_code: 10037, description: 'no message found' } });
    }
    const { data, seq, subject } = found;
    return answerOf({ message: { subject, seq, data: Buffer.from(data).toString('base64') } });
  }
}

function answerOf(body: unknown): Answer {
  const data = new TextEncoder().encode(JSON.stringify(body));
  return { kind: 'answer', message: { data, json: () => body } } as unknown as Answer;
}
