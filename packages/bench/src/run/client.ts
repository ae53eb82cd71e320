import { ManagedProcess } from '@meshforge/processes';
import type { Address } from '../contender.ts';
import { moduleProcess } from '../module-process.ts';
import type { FromClient, Slice, ToClient } from './messages.ts';

const script = new URL('./client-process.ts', import.meta.url);

/** A client process, as the conducting process sees it. */
export class Client {
  readonly #process: ManagedProcess;
  readonly #mail: Mail;

  private constructor(process: ManagedProcess, mail: Mail) {
    this.#process = process;
    this.#mail = mail;
  }

  /** Starts the process and has it connect and make ready. Throws why it could not. */
  static async start(load: string, contender: string, address: Address): Promise<Client> {
    const mail = new Mail();
    const process = await ManagedProcess.start({
      name: `the client of ${load}/${contender}`,
      ...moduleProcess(script),
      onMessage: (message) => mail.put(message as FromClient),
    });
    void process.exited.then(({ code, signal }) =>
      mail.put({ type: 'failed', why: `its client ended with ${signal ?? `code ${code}`}: ${process.logs()}` }),
    );
    const client = new Client(process, mail);
    try {
      await client.#ask({ type: 'prepare', load, contender, address }, 'prepared');
      return client;
    } catch (error) {
      await client.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async run(concurrency: number, durationMs: number): Promise<Slice> {
    return (await this.#ask({ type: 'run', concurrency, durationMs }, 'ran')).slice;
  }

  /** Has it check its work and disconnect. Throws what was wrong with the work. */
  async finish(): Promise<void> {
    await this.#ask({ type: 'finish' }, 'finished');
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  async #ask<T extends FromClient['type']>(message: ToClient, expected: T): Promise<FromClient & { type: T }> {
    this.#process.send(message);
    const answer = await this.#mail.next();
    if (answer.type === 'failed') throw new Error(answer.why);
    if (answer.type !== expected) throw new Error(`the client answered ${answer.type} instead of ${expected}`);
    return answer as FromClient & { type: T };
  }
}

/** What came in and was not read yet. */
class Mail {
  readonly #messages: FromClient[] = [];
  #wake: () => void = () => {};

  put(message: FromClient): void {
    this.#messages.push(message);
    this.#wake();
  }

  async next(): Promise<FromClient> {
    while (this.#messages.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#messages.shift() as FromClient;
  }
}
