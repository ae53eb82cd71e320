/** A NATS client that checks nothing: what it is given goes over the wire, byte for byte. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Text becomes UTF-8; bytes stay what they are. */
export type Bytes = string | Uint8Array;

export interface RawMessage {
  subject: Bytes;
  reply?: Bytes | undefined;
  /** The header block with its first line and its empty last one, as {@link headerBlock} makes it. */
  headers?: Bytes | undefined;
  body?: Bytes | undefined;
}

export class RawClient {
  readonly #socket: Socket;
  #received = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.#received += text;
      if (text.includes('PING\r\n')) socket.write('PONG\r\n');
    });
    socket.on('error', () => {});
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const client = new RawClient(socket);
    socket.write(
      'CONNECT {"verbose":false,"pedantic":false,"headers":true,"lang":"raw","version":"0","protocol":1}\r\n',
    );
    await client.flush();
    return client;
  }

  publish({ subject, reply = '', headers, body = '' }: RawMessage): void {
    const head = headers === undefined ? Buffer.alloc(0) : Buffer.from(headers);
    const payload = Buffer.from(body);
    const total = head.length + payload.length;
    const sizes = headers === undefined ? `${total}` : `${head.length} ${total}`;
    this.#socket.write(
      Buffer.concat([
        Buffer.from(headers === undefined ? 'PUB ' : 'HPUB '),
        Buffer.from(subject),
        Buffer.from(' '),
        Buffer.from(reply),
        Buffer.from(` ${sizes}\r\n`),
        head,
        payload,
        Buffer.from('\r\n'),
      ]),
    );
  }

  /** Resolves when the server has taken all that was sent. Rejects with what it said when it hung up instead. */
  async flush(): Promise<void> {
    const before = this.#count('PONG\r\n');
    this.#socket.write('PING\r\n');
    const deadline = performance.now() + 30_000;
    while (this.#count('PONG\r\n') === before) {
      if (this.#socket.closed || performance.now() > deadline) throw new Error(`the server hung up: ${this.#received}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async close(): Promise<void> {
    if (this.#socket.closed) return;
    this.#socket.destroy();
    await once(this.#socket, 'close');
  }

  #count(text: string): number {
    return this.#received.split(text).length - 1;
  }
}

/** Header lines as they are: nothing is escaped, checked or trimmed. */
export function headerBlock(...lines: Bytes[]): Uint8Array {
  const parts = lines.flatMap((line) => [Buffer.from(line), Buffer.from('\r\n')]);
  return Buffer.concat([Buffer.from('NATS/1.0\r\n'), ...parts, Buffer.from('\r\n')]);
}
