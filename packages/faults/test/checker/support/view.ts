import type { Answer, Entry, Heard, Logged, Sent, Told } from '../../../src/history.ts';

export type Answered = Told & { answer: Answer };

/** Takes a correct history apart, for whoever wants to spoil it. */
export class View {
  readonly entries: readonly Entry[];
  readonly sent: readonly Sent[];
  readonly answered: readonly Answered[];
  /** First deliveries. */
  readonly logged: readonly Logged[];
  readonly heard: readonly Heard[];

  constructor(entries: readonly Entry[]) {
    this.entries = entries;
    this.sent = entries.filter((entry) => entry.type === 'sent');
    this.answered = entries.filter((entry): entry is Answered => entry.type === 'told' && entry.answer !== undefined);
    this.heard = entries.filter((entry) => entry.type === 'heard');
    const places = new Set<string>();
    this.logged = entries.filter((entry): entry is Logged => {
      if (entry.type !== 'logged') return false;
      const place = placeOf(entry);
      return places.size < places.add(place).size;
    });
  }

  commits(agent: string): Logged[] {
    return this.logged.filter((entry) => entry.agent === agent && entry.kind === 'commit');
  }

  /** Commits that clients asked for. */
  get asked(): Logged[] {
    const ids = new Set(this.sent.map(({ commandId }) => commandId));
    return this.logged.filter(({ commandId, kind }) => kind === 'commit' && ids.has(commandId));
  }

  /** Grants of locks, as far as the log shows what came before them. */
  get grants(): Logged[] {
    return this.commits('lock').filter((entry) => {
      const messages = this.messagesOf(entry);
      const before = messages[messages.indexOf(entry) - 1];
      const isNext = (before?.version ?? 0) === entry.version - 1;
      return isNext && entry.event === 'acquired' && tokenOf(entry) !== (before && tokenOf(before));
    });
  }

  /** Messages of the same entity, in log order. */
  messagesOf({ agent, entityId }: { agent: string; entityId: string }): Logged[] {
    return this.logged.filter((entry) => entry.agent === agent && entry.entityId === entityId);
  }

  /** Whether the log has every version of the entity of a command: what it no longer has could explain anything. */
  hasAll({ commandId }: Told): boolean {
    const messages = this.messagesOf(this.sentOf(commandId));
    const highest = Math.max(...messages.map(({ version }) => version));
    return messages.filter(({ kind }) => kind === 'commit').length === highest;
  }

  sentOf(commandId: string): Sent {
    return this.sent.find((sent) => sent.commandId === commandId) as Sent;
  }

  commitOf(commandId: string): Logged | undefined {
    return this.logged.find(
      ({ commandId: id, kind }) => id === commandId && (kind === 'commit' || kind === 'unchanged'),
    );
  }

  toldOf(commandId: string): Told | undefined {
    return this.entries.find((entry): entry is Told => entry.type === 'told' && entry.commandId === commandId);
  }

  /** Whether it was asked for, and answered, once and no more. */
  isAskedOnce(commandId: string): boolean {
    return this.sent.filter((sent) => sent.commandId === commandId).length === 1;
  }

  at(entry: Entry): number {
    return this.entries.indexOf(entry);
  }

  /** With another entry in the place of one; of a message of a log, wherever it was delivered. */
  replace(old: Entry, by: Entry): Entry[] {
    return this.entries.map((entry) => (isSame(entry, old) ? by : entry));
  }

  without(...gone: readonly Entry[]): Entry[] {
    return this.entries.filter((entry) => !gone.some((one) => isSame(entry, one)));
  }

  /** Without all that was sent, told or said about a command. */
  withoutCommand(commandId: string): Entry[] {
    return this.entries.filter(
      (entry) =>
        entry.type === 'logged' ||
        !('commandId' in entry) ||
        entry.commandId !== commandId ||
        (entry.type === 'heard' && entry.sequence !== undefined),
    );
  }

  insertAfter(place: Entry, ...added: readonly Entry[]): Entry[] {
    return this.entries.toSpliced(this.at(place) + 1, 0, ...added);
  }
}

export function tokenOf({ state }: Logged): unknown {
  return state?.['fencing_token'];
}

function placeOf({ agent, sequence }: Logged): string {
  return `${agent} ${sequence}`;
}

function isSame(one: Entry, other: Entry): boolean {
  if (one === other) return true;
  return one.type === 'logged' && other.type === 'logged' && placeOf(one) === placeOf(other);
}
