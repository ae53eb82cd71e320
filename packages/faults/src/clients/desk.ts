import type { Answer, Durable, Queued } from '../history.ts';
import type { Recorder } from '../recorder.ts';
import type { Random } from '../random.ts';
import type { Client, Outcome, Posted } from './client.ts';
import type { Command } from './command.ts';
import { Ledger, type Remembered } from './ledger.ts';

/** How long a single copy's answer is waited for, in milliseconds. */
const singleMs = 4_000;
/** How long past its wait a waiter has patience. */
const patientMs = 25_000;
/** Of 32, less what others may commit while it is asked again. */
const outcomesKept = 20;

/** Where all commands go out: records each before it leaves, and what its client was told. */
export class Desk {
  readonly #recorder: Recorder;
  readonly #ledger = new Ledger();
  readonly #random: Random;
  /** The highest version of each entity that any client was told of. */
  readonly #versions = new Map<string, number>();
  #isClosed = false;
  /** How often what clients have seen was gone. */
  forgotten = 0;

  constructor(recorder: Recorder, random: Random) {
    this.#recorder = recorder;
    this.#random = random;
  }

  /** What clients know of an entity: 0 = that there is none; undefined = nothing. */
  versionOf(entityId: string): number | undefined {
    return this.#versions.get(entityId);
  }

  /** Tried again until it is answered. @param waitMs its answer may be held back for so long */
  async send(client: Client, command: Command, waitMs?: number): Promise<Answer | undefined> {
    this.#sent(client, command);
    const outcome = await client.sendPatiently(command, waitMs === undefined ? undefined : waitMs + patientMs);
    return this.#toldFirst(command, false, outcome);
  }

  /** Exactly one copy: its refusal says that it is not in the log, and never will be. */
  async sendOnce(client: Client, command: Command, timeoutMs = singleMs): Promise<Answer | undefined> {
    this.#sent(client, command);
    return this.#toldFirst(command, true, await client.sendOnce(command, timeoutMs));
  }

  /** Exactly one copy of a command whose answer may be held back for so long. */
  async sendAndWait(client: Client, command: Command, waitMs: number): Promise<Answer | undefined> {
    this.#sent(client, command);
    const onAgain = (outcome: Outcome): void => void this.#told(command, true, outcome);
    const outcome = await client.sendAndWait(command, waitMs + patientMs, onAgain);
    // One that may wait still is not asked again: it would wait anew.
    if (outcome.kind !== 'answered') return this.#told(command, true, outcome);
    return this.#toldFirst(command, true, outcome);
  }

  /** One copy, by somebody who leaves while it waits. */
  async sendAndLeave(client: Client, command: Command, leavesAfterMs: number): Promise<void> {
    this.#sent(client, command);
    await client.sendAndLeave(command, leavesAfterMs);
    const { commandId } = command;
    this.#recorder.add({ type: 'told', atMs: this.#recorder.now(), commandId, single: true, gone: true });
  }

  /**
   * Stores a durable command; its outcome is recorded whenever it is told.
   * @param dueMs when it is to be executed, in milliseconds since the epoch @returns whether it is stored for certain
   */
  async post(client: Client, command: Command, dueMs?: number): Promise<boolean> {
    this.#sent(client, command, dueMs === undefined ? {} : { dueMs });
    const posted = await client.post(command, dueMs);
    if (posted.kind !== 'stored') {
      this.#told(command, false, posted);
      return false;
    }
    this.#queued(command, 'stored');
    void this.#listen(command, posted);
    return true;
  }

  /** Takes a durable command back. */
  async cancel(client: Client, command: Command): Promise<void> {
    const askedAtMs = this.#recorder.now();
    const isCancelled = await client.cancel(command);
    this.#queued(command, isCancelled === undefined ? 'unsure' : isCancelled ? 'cancelled' : 'kept', askedAtMs);
  }

  /** What clients have seen may be gone. */
  forget(): void {
    this.forgotten++;
    this.#versions.clear();
    this.#ledger.clear();
  }

  /** From now on nothing is recorded that is told late. */
  close(): void {
    this.#isClosed = true;
  }

  /** Two copies at once, on two connections. */
  async sendTwice(clients: readonly [Client, Client], command: Command): Promise<void> {
    this.#sent(clients[0], command);
    await Promise.all(
      clients.map(async (client) => this.#toldFirst(command, false, await client.sendOnce(command, singleMs))),
    );
  }

  /** Asks once more for one that has committed, or may have. Undefined when there was none to ask for. */
  async askAgain(client: Client, random: Random): Promise<Answer | undefined> {
    const drawn = this.#ledger.draw(this.#recorder.now(), random);
    if (drawn === undefined || this.#isForgotten(drawn)) return undefined;
    const { command } = drawn;
    this.#sent(client, command);
    return this.#told(command, false, await client.sendPatiently(command));
  }

  /** A lock keeps the outcomes of its last 32 commands, and nothing else of a lease that is over. */
  #isForgotten({ command, version }: Remembered): boolean {
    return command.agent === 'lock' && (this.#versions.get(command.entityId) ?? 0) - version > outcomesKept;
  }

  /** That nothing was told is no news: it is told at most once. */
  async #listen(command: Command, posted: Posted): Promise<void> {
    const outcome = await posted.outcome();
    if (outcome.kind === 'answered' && !this.#isClosed) this.#told(command, false, outcome);
  }

  #queued({ commandId }: Command, as: Queued['as'], askedAtMs?: number): void {
    const asked = askedAtMs !== undefined && { askedAtMs };
    this.#recorder.add({ type: 'queued', atMs: this.#recorder.now(), commandId, as, ...asked });
  }

  #sent({ name: client }: Client, command: Command, durable?: Durable): void {
    this.#recorder.add({ type: 'sent', atMs: this.#recorder.now(), client, ...command, ...(durable && { durable }) });
  }

  #toldFirst(command: Command, single: boolean, outcome: Outcome): Answer | undefined {
    const answer = this.#told(command, single, outcome);
    const committed = answer?.kind === 'committed' || answer?.kind === 'replayed';
    if (committed || answer === undefined) {
      const version = this.#versions.get(command.entityId) ?? 0;
      this.#ledger.add({ command, sentAtMs: this.#recorder.now(), version }, this.#random);
    }
    return answer;
  }

  #told(command: Command, single: boolean, outcome: Outcome): Answer | undefined {
    const atMs = this.#recorder.now();
    const { commandId, entityId } = command;
    const answer = outcome.kind === 'answered' ? outcome.answer : undefined;
    // "Not now" is no definite answer in the history: who asks again may yet be told that it was done.
    this.#recorder.add({ type: 'told', atMs, commandId, single, ...(answer && { answer }) });
    if (outcome.kind !== 'answered') this.#recorder.noteUnknown(outcome.kind);
    if (answer !== undefined) this.#learn(entityId, answer);
    return answer;
  }

  #learn(entityId: string, { kind, payload }: Answer): void {
    const version = payload[kind === 'conflict' ? 'current_version' : 'entity_version'];
    if (typeof version !== 'number') return;
    const isGone = version === 0 || ((kind === 'committed' || kind === 'replayed') && payload['state'] === null);
    const known = this.#versions.get(entityId) ?? 0;
    if (isGone) this.#versions.set(entityId, 0);
    else if (version > known) this.#versions.set(entityId, version);
  }
}
