import type { Wire } from './message.ts';
import { tokensOf } from './subjects.ts';

/** One subscription of a client. */
export interface Subscriber {
  readonly subject: string;
  readonly queue: string | undefined;
  readonly deliver: (message: Wire) => void;
}

interface Level {
  readonly subscribers: Set<Subscriber>;
  readonly next: Map<string, Level>;
}

export interface Interested {
  readonly all: readonly Subscriber[];
  /** One of each queue group gets a message. */
  readonly groups: readonly (readonly Subscriber[])[];
}

/** Who subscribes to what. */
export class Interest {
  readonly #root: Level = newLevel();
  #cache = new Map<string, Interested>();

  add(subscriber: Subscriber): void {
    let level = this.#root;
    for (const token of tokensOf(subscriber.subject)) {
      let next = level.next.get(token);
      if (next === undefined) {
        next = newLevel();
        level.next.set(token, next);
      }
      level = next;
    }
    level.subscribers.add(subscriber);
    this.#forget(subscriber);
  }

  remove(subscriber: Subscriber): void {
    let level: Level | undefined = this.#root;
    for (const token of tokensOf(subscriber.subject)) level = level?.next.get(token);
    level?.subscribers.delete(subscriber);
    this.#forget(subscriber);
  }

  in(subject: string): Interested {
    const known = this.#cache.get(subject);
    if (known !== undefined) return known;
    const all: Subscriber[] = [];
    const groups = new Map<string, Subscriber[]>();
    collect(this.#root, tokensOf(subject), 0, (subscriber) => {
      if (subscriber.queue === undefined) all.push(subscriber);
      else {
        const key = `${subscriber.queue} ${subscriber.subject}`;
        groups.set(key, [...(groups.get(key) ?? []), subscriber]);
      }
    });
    const found = { all, groups: [...groups.values()] };
    if (this.#cache.size > 5_000) this.#cache.clear();
    this.#cache.set(subject, found);
    return found;
  }

  has(subject: string): boolean {
    const { all, groups } = this.in(subject);
    return all.length > 0 || groups.length > 0;
  }

  #forget({ subject }: Subscriber): void {
    if (subject.includes('*') || subject.includes('>')) this.#cache = new Map();
    else this.#cache.delete(subject);
  }
}

function newLevel(): Level {
  return { subscribers: new Set(), next: new Map() };
}

function collect(level: Level, tokens: readonly string[], at: number, found: (subscriber: Subscriber) => void): void {
  if (at === tokens.length) {
    for (const subscriber of level.subscribers) found(subscriber);
    return;
  }
  const exact = level.next.get(tokens[at] as string);
  if (exact !== undefined) collect(exact, tokens, at + 1, found);
  const star = level.next.get('*');
  if (star !== undefined) collect(star, tokens, at + 1, found);
  for (const subscriber of level.next.get('>')?.subscribers ?? []) found(subscriber);
}
