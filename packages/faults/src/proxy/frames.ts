/** A whole message of the NATS protocol, as a server sends it. */
export interface Frame {
  readonly bytes: Buffer;
  /** Only of what is delivered to a subscription. */
  readonly subject?: string;
}

const lineEnd = '\r\n';

/**
 * Cuts what a server sends into whole messages, so that some can be left out and the client still understands the rest.
 * Owns the part that is not complete yet.
 */
export class Frames {
  #rest: Buffer = Buffer.alloc(0);

  /** The messages that are complete with this chunk. */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const end = bytes.indexOf(lineEnd);
      if (end === -1) break;
      const delivery = deliveryIn(bytes.toString('latin1', 0, end));
      const length = end + lineEnd.length + (delivery === undefined ? 0 : delivery.payloadBytes + lineEnd.length);
      if (bytes.length < length) break;
      frames.push({ bytes: bytes.subarray(0, length), ...(delivery && { subject: delivery.subject }) });
      bytes = bytes.subarray(length);
    }
    this.#rest = bytes;
    return frames;
  }
}

/** `MSG <subject> <sid> [reply] <bytes>`, `HMSG <subject> <sid> [reply] <header bytes> <all bytes>`. */
function deliveryIn(line: string): { subject: string; payloadBytes: number } | undefined {
  if (!/^H?MSG /i.test(line)) return undefined;
  const words = line.split(' ');
  return { subject: words[1] ?? '', payloadBytes: Number(words.at(-1)) };
}
