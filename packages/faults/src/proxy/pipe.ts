import type { Socket } from 'node:net';
import type { Direction, Disturbances } from './disturbance.ts';
import { Frames } from './frames.ts';

/** Bytes that wait in one pipe before its source has to wait as well, as in a network's own buffers. */
const maxWaitingBytes = 256 * 1024;

/** One direction of a connection: bytes come out in order, later, or never. */
export class Pipe {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #direction: Direction;
  readonly #disturbances: Disturbances;
  /** Only where deliveries can be told apart. */
  readonly #frames: Frames | undefined;
  readonly #waiting: { readonly bytes: Buffer; readonly dueAtMs: number }[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** @param understands whether the source is a NATS server that speaks to a client */
  constructor(
    source: Socket,
    target: Socket,
    direction: Direction,
    options: { disturbances: Disturbances; understands: boolean },
  ) {
    this.#source = source;
    this.#target = target;
    this.#direction = direction;
    this.#disturbances = options.disturbances;
    this.#frames = options.understands ? new Frames() : undefined;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.on('close', () => {
      this.#isOver = true;
      this.flush();
    });
    target.on('drain', () => this.flush());
  }

  /** Passes on what may pass by now. The end of the source passes last. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#disturbances.holds(this.#direction)) return;
    const now = performance.now();
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      if (next.dueAtMs > now) {
        this.#timer = setTimeout(() => this.flush(), next.dueAtMs - now);
        return;
      }
      if (this.#target.writableNeedDrain) return;
      this.#waiting.shift();
      this.#waitingBytes -= next.bytes.length;
      this.#target.write(next.bytes);
    }
    if (this.#isOver) this.#target.destroySoon();
    else if (this.#source.isPaused()) this.#source.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #take(chunk: Buffer): void {
    const bytes = this.#frames === undefined ? chunk : this.#withoutDropped(this.#frames, chunk);
    if (bytes.length > 0) {
      const dueAtMs = performance.now() + this.#disturbances.delayMs(this.#direction);
      // A delay that became shorter must not let bytes overtake.
      const last = this.#waiting.at(-1)?.dueAtMs ?? 0;
      this.#waiting.push({ bytes, dueAtMs: Math.max(dueAtMs, last) });
      this.#waitingBytes += bytes.length;
      this.flush();
    }
    if (this.#waitingBytes > maxWaitingBytes) this.#source.pause();
  }

  #withoutDropped(frames: Frames, chunk: Buffer): Buffer {
    const kept = frames
      .push(chunk)
      .filter(({ subject }) => subject === undefined || !this.#disturbances.drops(subject))
      .map(({ bytes }) => bytes);
    return kept.length === 1 ? (kept[0] as Buffer) : Buffer.concat(kept);
  }
}
