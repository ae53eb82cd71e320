/**
 * The recent commands of an entity, as they ride on its newest message (header `Mesh-Recent`): how a retry is recognised
 * and where its first outcome is found.
 *
 * They are kept as the very text of the header, for they are written with every message and read with few: a look is a
 * search in a string, and an entry is only parsed when it is the one.
 *
 * Invariants: entries are in log order, oldest first, separated by spaces; at most 32 name a command (I5); the text is
 * one header line; a list that says it is complete has never lost an entry.
 */
import type { JsonObject } from '@meshforge/protocol';

const encoder = new TextEncoder();

/** Retries are recognised among this many last commands of an entity; the server's dedupe window (10 min) is a second net. */
export const RECENT_COMMANDS = 32;
/** Bytes of the whole text: what the other headers leave of the 64 KiB that the server allows. Only long outcomes of leases come near it. */
export const RECENT_BYTES = 36_864;

/** The outcome of a lease commit, kept inline since its message leaves with the lease. */
export interface InlineOutcome {
  event: string;
  state: JsonObject | null;
  data?: JsonObject;
}

export interface RecentCommand {
  /** Short digest of the command's id, of `A-Z a-z 0-9 _ -`. */
  digest: string;
  /** Shorter digest of what the command says; empty if nobody took one. */
  body: string;
  version: number;
  /** Where its message is in the stream. */
  sequence: number;
  /** It changed nothing: its message is the record of a refusal. */
  isRefused?: boolean;
  inline?: InlineOutcome | undefined;
}

export interface RecentCommands {
  /** `<digest>.<body>.<version>.<sequence>[!][.<outcome as JSON>] …`, numbers to the base 36, `!` for a refusal. */
  readonly text: string;
  /** Of the text, in UTF-8. */
  readonly bytes: number;
  readonly count: number;
  /** Whether every command of the entity is in it. */
  readonly isComplete: boolean;
}

export const NO_COMMANDS: RecentCommands = Object.freeze({ text: '', bytes: 0, count: 0, isComplete: true });

/** First word of a header whose list is complete. No entry looks like it: entries have points. */
const COMPLETE = 'all';

/** The list with one more entry, trimmed to its bounds. @param maxBytes less where other headers are long */
export function remember(recent: RecentCommands, command: RecentCommand, maxBytes = RECENT_BYTES): RecentCommands {
  const entry = entryOf(command, maxBytes);
  const entryBytes = bytesOf(entry, command.inline === undefined);
  const { text, bytes, count, isComplete } = trim(recent, RECENT_COMMANDS - 1, maxBytes - entryBytes - 1);
  if (count === 0) return { text: entry, bytes: entryBytes, count: 1, isComplete };
  return { text: `${text} ${entry}`, bytes: bytes + 1 + entryBytes, count: count + 1, isComplete };
}

/** The list without its oldest entries, as far as it must be for so many entries and bytes. */
export function trim(recent: RecentCommands, maxCount: number, maxBytes: number): RecentCommands {
  let { text, bytes, count } = recent;
  if (count <= maxCount && bytes <= maxBytes) return recent;
  while (count > maxCount || (count > 0 && bytes > maxBytes)) {
    const end = text.indexOf(' ');
    const oldest = end === -1 ? text : text.slice(0, end + 1);
    bytes -= bytesOf(oldest, bytes === text.length);
    text = text.slice(oldest.length);
    count--;
  }
  return { text, bytes, count, isComplete: false };
}

/** What would end an entry or the header's line; JSON may name any character by its number. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const UNSAFE = /[\s\u0000-\u001f\u007f-\u009f]/g;

function entryOf({ body, digest, inline, isRefused, sequence, version }: RecentCommand, maxBytes: number): string {
  const mark = isRefused === true ? '!' : '';
  const place = `${digest}.${body}.${version.toString(36)}.${sequence.toString(36)}${mark}`;
  if (inline === undefined) return place;
  const entry = `${place}.${JSON.stringify(inline).replace(UNSAFE, escape)}`;
  // Better a retry that is recognised and gets no outcome than one that is not.
  return bytesOf(entry, false) < maxBytes ? entry : place;
}

function bytesOf(text: string, isAscii: boolean): number {
  return isAscii ? text.length : encoder.encode(text).length;
}

/** @param digest of a command's id; never empty */
export function findCommand({ text }: RecentCommands, digest: string): RecentCommand | undefined {
  // An outcome holds no spaces, so what follows one is the beginning of an entry.
  if (text.startsWith(`${digest}.`)) return entryAt(text, 0);
  const space = text.indexOf(` ${digest}.`);
  return space === -1 ? undefined : entryAt(text, space + 1);
}

/** Oldest first. */
export function listCommands({ text }: RecentCommands): RecentCommand[] {
  return text === '' ? [] : text.split(' ').map((entry) => entryAt(entry, 0));
}

/** The header's value. */
export function recentHeader({ isComplete, text }: RecentCommands): string {
  if (!isComplete) return text;
  return text === '' ? COMPLETE : `${COMPLETE} ${text}`;
}

const ENTRY = /^([\w-]*)\.([\w-]*)\.([\da-z]+)\.([\da-z]+)(!?)(?:\.(\{.+\}))?$/;

/** Takes the header's value; it is our own, so anything odd in it is a fault. @throws TypeError */
export function readRecent(header: string): RecentCommands {
  const isComplete = header === COMPLETE || header.startsWith(`${COMPLETE} `);
  const text = isComplete ? header.slice(COMPLETE.length + 1) : header;
  if (text === '') return { ...NO_COMMANDS, isComplete };
  const entries = text.split(' ');
  const odd = entries.find((entry) => !isEntry(entry));
  if (odd !== undefined) throw new TypeError(`not an entry of Mesh-Recent: ${odd.slice(0, 80)}`);
  return { text, bytes: bytesOf(text, false), count: entries.length, isComplete };
}

function isEntry(entry: string): boolean {
  if (entry.search(UNSAFE) !== -1) return false;
  try {
    // Of what does not match, neither is a number.
    const { version, sequence, inline } = entryAt(entry, 0);
    const isOutcome = inline === undefined || (typeof inline.event === 'string' && typeof inline.state === 'object');
    return Number.isSafeInteger(version) && Number.isSafeInteger(sequence) && isOutcome;
  } catch {
    return false;
  }
}

function entryAt(text: string, start: number): RecentCommand {
  const end = text.indexOf(' ', start);
  const entry = end === -1 ? text.slice(start) : text.slice(start, end);
  const [, digest = '', body = '', version = '', sequence = '', refused, inline] = ENTRY.exec(entry) ?? [];
  const command: RecentCommand = { digest, body, version: parseInt(version, 36), sequence: parseInt(sequence, 36) };
  if (refused === '!') command.isRefused = true;
  if (inline !== undefined) command.inline = JSON.parse(inline) as InlineOutcome;
  return command;
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
