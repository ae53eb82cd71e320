import type { SimulatedNats, StoredMessage, Stream } from '@meshforge/simulated-nats';
import { HEADERS } from '@meshforge/protocol';
import type { Stored } from './records.ts';

const decoder = new TextDecoder();

/** Sees everything that is stored and published, and keeps it also when it is gone. */
export class Witness {
  readonly stored = new Map<string, Stored[]>();
  readonly copies = new Map<string, number[]>();
  readonly spoken: { subject: string; at: number; commandId: string }[] = [];
  readonly #nats: SimulatedNats;
  readonly #incarnations = new Map<string, { stream: Stream; count: number }>();
  onStored: (message: Stored) => void = () => {};

  constructor(nats: SimulatedNats) {
    this.#nats = nats;
    nats.onStored = (stream, message) => this.#see(stream, message);
    nats.onPublish = ({ headers, subject }) => {
      if (subject.startsWith('cmd.')) {
        const id = headers?.get(HEADERS.commandId) ?? '';
        this.copies.set(id, [...(this.copies.get(id) ?? []), nats.time.now]);
      } else if (subject.startsWith('evt.')) {
        this.spoken.push({ subject, at: nats.time.now, commandId: headers?.get(HEADERS.commandId) ?? '' });
      }
    };
  }

  in(stream: string): readonly Stored[] {
    return this.stored.get(stream) ?? [];
  }

  #see(stream: Stream, { data, headers, micros, sequence, subject }: StoredMessage): void {
    const { name } = stream;
    const known = this.#incarnations.get(name);
    const count = known === undefined ? 1 : known.stream === stream ? known.count : known.count + 1;
    if (known?.stream !== stream) this.#incarnations.set(name, { stream, count });
    const message: Stored = {
      stream: name,
      incarnation: count,
      sequence,
      subject,
      headers: new Map(headers?.lines),
      body: json(data),
      at: micros / 1_000,
      seenAt: this.#nats.time.now,
    };
    const all = this.stored.get(name) ?? [];
    all.push(message);
    this.stored.set(name, all);
    this.onStored(message);
  }
}

function json(data: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(data)) as unknown;
  } catch {
    return undefined;
  }
}
