/** Header blocks as they stand on the wire, and what the server does to them. */

const LINE = 'NATS/1.0';
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The header block of a message: `NATS/1.0`, lines `Name: value`, an empty line. */
export class HeaderBlock {
  readonly text: string;
  #bytes: Uint8Array | undefined;

  constructor(text: string) {
    this.text = text;
  }

  static fromBytes(bytes: Uint8Array): HeaderBlock {
    const block = new HeaderBlock(decoder.decode(bytes));
    block.#bytes = bytes;
    return block;
  }

  static of(lines: readonly (readonly [name: string, value: string])[], status = ''): HeaderBlock {
    const body = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return new HeaderBlock(`${status === '' ? LINE : `${LINE} ${status}`}\r\n${body}\r\n`);
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= encoder.encode(this.text));
  }

  get size(): number {
    return this.bytes.length;
  }

  /** The value of the first line with exactly this name; empty if there is none. */
  get(name: string): string {
    const at = this.text.indexOf(`\r\n${name}:`);
    if (at === -1) return '';
    const from = at + name.length + 3;
    return this.text.slice(from, this.text.indexOf('\r\n', from)).trimStart();
  }

  has(name: string): boolean {
    return this.text.includes(`\r\n${name}:`);
  }

  /** The lines with names, in order. */
  get lines(): [name: string, value: string][] {
    return this.text
      .split('\r\n')
      .slice(1)
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
  }

  /** With further lines at the end. */
  with(lines: readonly (readonly [name: string, value: string | number])[]): HeaderBlock {
    const body = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return new HeaderBlock(`${this.text.slice(0, -2)}${body}\r\n`);
  }

  /** Without the lines whose names begin so. */
  withoutPrefix(prefix: string): HeaderBlock {
    return this.#without((line) => line.startsWith(prefix));
  }

  without(name: string): HeaderBlock {
    return this.#without((line) => line.startsWith(`${name}:`));
  }

  /** As a client publishes it, the server drops a status. */
  withoutStatus(): HeaderBlock {
    const end = this.text.indexOf('\r\n');
    return end === LINE.length ? this : new HeaderBlock(LINE + this.text.slice(end));
  }

  #without(isUnwanted: (line: string) => boolean): HeaderBlock {
    const [first = LINE, ...rest] = this.text.split('\r\n');
    const kept = rest.filter((line) => line !== '' && !isUnwanted(line));
    return new HeaderBlock([first, ...kept, '', ''].join('\r\n'));
  }
}
