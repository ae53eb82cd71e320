import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { within, type Clock } from '../../clock.ts';
import type { RequestPort } from '../requester.ts';
import { changeOf, describeChange, nameOf, whyGone, type Asset, type Doubt, type Report } from './asset.ts';
import { lookAt, type Found, type Look } from './look.ts';

/** Between two looks at the same stream or consumer, in milliseconds; processes spread by jitter. */
const LOOK_MS = 2_000;
/** Without an answer for so long, in milliseconds, it counts as a problem: elections take a few seconds. */
const SILENCE_MS = 10_000;

/** What an advisory casts doubt on. After `UPDATED` the settings may be other ones: that shows at the look. */
const DOUBTS: Record<string, Doubt | 'none'> = {
  CREATED: 'identity',
  DELETED: 'identity',
  RESTORE_CREATE: 'identity',
  RESTORE_COMPLETE: 'identity',
  LEADER_ELECTED: 'leader',
  UPDATED: 'none',
};

export interface PresenceOptions {
  connection: NatsConnection;
  requester: Pick<RequestPort, 'request'>;
  clock: Clock;
  /** JetStream domain; its advisories are not heard from outside. */
  domain?: string | undefined;
  report: (report: Report) => void;
}

/** A stream or consumer that is followed. */
export interface Followed {
  /** Why it does not serve; undefined: it does, as far as anybody knows. */
  readonly problem: string | undefined;
  /** As it was last found; undefined: not yet. */
  readonly replicas: number | undefined;
  /** Resolves once a look has found it in its place, after the last doubt; or when the signal aborts. */
  certain(signal: AbortSignal): Promise<void>;
  /** Something says that it may be another one by now: looks at once. */
  doubt(): void;
  /** Looks at once. */
  look(): void;
  /** Ends following. */
  stop(): void;
}

export interface FollowedOptions extends PresenceOptions {
  isConnected: () => boolean;
  /** Whether the stream is followed as well. */
  follows: (stream: string) => boolean;
  onStop: () => void;
}

/** Looks at one stream or consumer, again and again, and tells what has become of it. */
export class FollowedAsset implements Followed {
  readonly #asset: Asset;
  readonly #options: FollowedOptions;
  readonly #api: string;
  readonly #stopping = new AbortController();
  #subscription: Subscription | undefined;
  /** As it was last found. */
  #known: Found | undefined;
  #condition: Condition = { kind: 'present' };
  #answeredAt: number;
  /** Counts doubts: a look that began before one does not end it. */
  #doubts = 0;
  #isCertain = false;
  #isDue = false;
  #wake = (): void => {};
  #waiting: (() => void)[] = [];

  constructor(asset: Asset, options: FollowedOptions) {
    this.#asset = asset;
    this.#options = options;
    this.#api = options.domain === undefined ? '$JS.API' : `$JS.${options.domain}.API`;
    this.#answeredAt = options.clock.monotonic();
  }

  isStream(name: string): boolean {
    return this.#asset.consumer === undefined && this.#asset.stream === name;
  }

  get problem(): string | undefined {
    return this.#condition.kind === 'present' ? undefined : this.#condition.why;
  }

  get replicas(): number | undefined {
    return this.#known?.replicas;
  }

  start(): void {
    if (this.#options.domain === undefined) this.#subscription = this.#hear();
    void this.#run();
  }

  doubt(doubt: Doubt = 'identity'): void {
    this.#doubts++;
    this.#isCertain = false;
    this.#asset.onDoubt?.(doubt);
    this.look();
  }

  look(): void {
    this.#isDue = true;
    this.#wake();
  }

  async certain(signal: AbortSignal): Promise<void> {
    while (!this.#isCertain && !signal.aborted && !this.#stopping.signal.aborted) {
      await new Promise<void>((resolve) => {
        const release = (): void => {
          signal.removeEventListener('abort', release);
          resolve();
        };
        signal.addEventListener('abort', release);
        this.#waiting.push(release);
      });
    }
  }

  stop(): void {
    this.#stopping.abort();
    this.#wake();
    this.#releaseWaiting();
    if (!this.#options.connection.isClosed()) this.#subscription?.unsubscribe();
    this.#options.onStop();
  }

  /** Advisories are hints: whoever may not hear them, or loses one, finds out by looking. */
  #hear(): Subscription {
    const { consumer, stream } = this.#asset;
    const subject = consumer === undefined ? `STREAM.*.${stream}` : `CONSUMER.DELETED.${stream}.${consumer}`;
    return this.#options.connection.subscribe(`$JS.EVENT.ADVISORY.${subject}`, {
      callback: (error, message) => {
        if (error !== null) return;
        const doubt = DOUBTS[message.subject.split('.')[4] ?? ''];
        if (doubt === 'none') this.look();
        else if (doubt !== undefined) this.doubt(doubt);
      },
    });
  }

  async #run(): Promise<void> {
    const { clock, requester } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted && !this.#options.connection.isClosed()) {
      this.#isDue = false;
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.#options.isConnected()) {
        const doubts = this.#doubts;
        const look = await lookAt(requester, this.#api, this.#asset).catch(unreadable);
        if (signal.aborted) return;
        await this.#see(look);
        if (look.kind === 'found' && doubts === this.#doubts) this.#settle();
      } else {
        // Of a broken connection it is known why nobody answers.
        this.#answeredAt = clock.monotonic();
      }
      if (!this.#isDue && !signal.aborted) await within(clock, LOOK_MS * (0.8 + 0.4 * clock.random()), woken);
    }
  }

  async #see(look: Look): Promise<void> {
    const now = this.#options.clock.monotonic();
    if (look.kind !== 'unanswered') this.#answeredAt = now;
    switch (look.kind) {
      case 'found':
        return await this.#found(look);
      case 'missing':
        return await this.#missing(look.what);
      case 'unanswered':
        if (now - this.#answeredAt >= SILENCE_MS && this.#condition.kind === 'present') {
          const why = `${nameOf(this.#asset)} has not answered for ${SILENCE_MS / 1_000} s: ${look.why}`;
          this.#become({ kind: 'silent', why });
        }
    }
  }

  async #found(found: Found): Promise<void> {
    const { consumer, mend, misfit } = this.#asset;
    this.#compare(found);
    const wrong = misfit?.(found.config);
    if (wrong !== undefined) {
      const toDo =
        mend === undefined
          ? `Mend it with "nats ${consumer === undefined ? 'stream' : 'consumer'} edit"`
          : 'They are corrected now; what happened meanwhile may have been skipped';
      const why = `${nameOf(this.#asset)} has unsuitable settings: ${wrong}. ${toDo}`;
      this.#become({ kind: 'unsuitable', why });
      // The next look tells whether that has helped.
      return await mend?.().catch(() => {});
    }
    const { kind } = this.#condition;
    if (kind === 'present') return;
    const happened = { gone: 'is there again', silent: 'answers again', unsuitable: 'has suitable settings again' }[
      kind
    ];
    this.#become({ kind: 'present' }, `${nameOf(this.#asset)} ${happened}`);
  }

  #compare(found: Found): void {
    const before = this.#known;
    this.#known = found;
    if (before === undefined) return;
    const change = changeOf(before, found, this.#asset.isLog === true);
    if (change !== undefined) this.#asset.onDoubt?.(change === 'led_by_another' ? 'leader' : 'identity');
    if (change === 'led_by_another') {
      // A new leader may not have everything at its hand yet: the next look tells whether messages were lost.
      const { lastSequence, messages } = before;
      this.#known = { ...found, lastSequence: Math.max(lastSequence, found.lastSequence), messages };
    } else if (change !== undefined) {
      this.#asset.onReplaced?.();
      const level = this.#asset.recreate === undefined ? 'error' : 'warn';
      this.#report('changed', level, describeChange(this.#asset, change, before, found));
    }
    if (found.replicas !== before.replicas) {
      this.#report(
        'replicas',
        'info',
        `${nameOf(this.#asset)} has ${found.replicas} replicas now, before: ${before.replicas}`,
      );
    }
  }

  async #missing(what: 'stream' | 'consumer'): Promise<void> {
    const { consumer, recreate, stream } = this.#asset;
    // Then that is what is said of it.
    if (consumer !== undefined && what === 'stream' && this.#options.follows(stream)) return;
    if (this.#condition.kind !== 'gone') {
      this.#asset.onDoubt?.('identity');
      this.#asset.onReplaced?.();
    }
    // A consumer cannot be created where its stream is gone.
    const canRecreate = recreate !== undefined && (consumer === undefined || what === 'consumer');
    if (!canRecreate) return this.#become({ kind: 'gone', why: whyGone(this.#asset, what) });
    try {
      await recreate();
    } catch (error) {
      const why = `${nameOf(this.#asset)} is gone, and cannot be created again: ${(error as Error).message}`;
      return this.#become({ kind: 'gone', why });
    }
    this.#known = undefined;
    this.#report('recreated', 'warn', `${nameOf(this.#asset)} was deleted; it holds no data and was created again`);
    this.look();
  }

  #settle(): void {
    this.#isCertain = true;
    this.#releaseWaiting();
  }

  #releaseWaiting(): void {
    for (const release of this.#waiting.splice(0)) release();
  }

  /** @param text what is reported; default: why it does not serve */
  #become(condition: Condition, text = 'why' in condition ? condition.why : ''): void {
    const before = this.#condition;
    this.#condition = condition;
    const isOtherMisfit =
      before.kind === 'unsuitable' && condition.kind === 'unsuitable' && before.why !== condition.why;
    if (before.kind === condition.kind && !isOtherMisfit) return;
    if (condition.kind === 'gone') this.#isCertain = false;
    if (condition.kind === 'present') this.#report('recovered', 'info', text);
    else this.#report(condition.kind, condition.kind === 'silent' ? 'warn' : 'error', text);
  }

  #report(kind: Report['kind'], level: Report['level'], text: string): void {
    const { consumer, onReport = this.#options.report, stream } = this.#asset;
    onReport({ kind, level, stream, text, ...(consumer === undefined ? {} : { consumer }) });
  }
}

function unreadable(error: Error): Look {
  return { kind: 'unanswered', why: `the answer cannot be read: ${error.message}` };
}

type Condition = { kind: 'present' } | { kind: 'gone' | 'unsuitable' | 'silent'; why: string };
