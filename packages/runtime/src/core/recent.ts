/**
 * The recent commands of an entity, as they ride on its newest message (header `Mesh-Recent`): how a retry is recognised
 * and where its first outcome is found.
 *
 * They are kept as the very text of the header, for they are written with every message and read with few: a look is a
 * search in a string, and the entries are only parsed when it is among them.
 *
 * Invariants: entries are in log order, oldest first, separated by spaces; at most 32 name a command (I5); the text is
 * one header line; a list whose base is zero has never lost an entry.
 */
import type { JsonObject } from '@meshforge/protocol';

const encoder = new TextEncoder();

/** Retries are recognised among this many last commands of an entity; the server's dedupe window (10 min) is a second net. */
export const RECENT_COMMANDS = 32;
/** Bytes of the whole text: what the other headers leave of the 64 KiB that the server allows. Only outcomes of leases come near it. */
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
  /**
   * `<digest>.<body>.<version>.<sequence>[!][.<outcome as JSON>] …`: numbers to the base 36, each less that of the entry before,
   * a version left out where that is 1; `!` for a refusal.
   */
  readonly text: string;
  /** Of the text, in UTF-8. */
  readonly bytes: number;
  readonly count: number;
  /** Where the last entry that was dropped stands; all zero: none was, so the list holds every command of the entity. */
  readonly base: Place;
  /** Where the newest entry stands; that of the base if there is none. */
  readonly newest: Place;
}

interface Place {
  readonly version: number;
  readonly sequence: number;
}

const NOWHERE: Place = Object.freeze({ version: 0, sequence: 0 });

export const NO_COMMANDS: RecentCommands = Object.freeze({
  text: '',
  bytes: 0,
  count: 0,
  base: NOWHERE,
  newest: NOWHERE,
});

/** Whether every command of the entity is in the list. */
export function isComplete({ base }: RecentCommands): boolean {
  return base.sequence === 0;
}

/** The list with one more entry, trimmed to its bounds. @param maxBytes less where other headers are long */
export function remember(recent: RecentCommands, command: RecentCommand, maxBytes = RECENT_BYTES): RecentCommands {
  const entry = entryOf(command, recent.newest, maxBytes);
  const entryBytes = bytesOf(entry, command.inline === undefined);
  const { text, bytes, count, base } = trim(recent, RECENT_COMMANDS - 1, maxBytes - entryBytes - 1);
  const newest = { version: command.version, sequence: command.sequence };
  if (count === 0) return { text: entry, bytes: entryBytes, count: 1, base, newest };
  return { text: `${text} ${entry}`, bytes: bytes + 1 + entryBytes, count: count + 1, base, newest };
}

/** The list without its oldest entries, as far as it must be for so many entries and bytes. */
export function trim(recent: RecentCommands, maxCount: number, maxBytes: number): RecentCommands {
  let { text, bytes, count, base } = recent;
  if (count <= maxCount && bytes <= maxBytes) return recent;
  while (count > maxCount || (count > 0 && bytes > maxBytes)) {
    const end = text.indexOf(' ');
    const oldest = end === -1 ? text : text.slice(0, end + 1);
    base = placeOf(oldest.trimEnd(), base);
    bytes -= bytesOf(oldest, bytes === text.length);
    text = text.slice(oldest.length);
    count--;
  }
  return { ...recent, text, bytes, count, base };
}

/** What would end an entry or the header's line; JSON may name any character by its number. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const UNSAFE = /[\s\u0000-\u001f\u007f-\u009f]/g;

/** @param before where the entry before it stands */
function entryOf(
  { body, digest, inline, isRefused, sequence, version }: RecentCommand,
  before: Place,
  maxBytes: number,
): string {
  const step = version - before.version;
  // Most commands make one version more.
  const steps = `${step === 1 ? '' : step.toString(36)}.${(sequence - before.sequence).toString(36)}`;
  const place = `${digest}.${body}.${steps}${isRefused === true ? '!' : ''}`;
  if (inline === undefined) return place;
  const entry = `${place}.${JSON.stringify(inline).replace(UNSAFE, escape)}`;
  // Better a retry that is recognised and gets no outcome than one that is not.
  return bytesOf(entry, false) < maxBytes ? entry : place;
}

function bytesOf(text: string, isAscii: boolean): number {
  return isAscii ? text.length : encoder.encode(text).length;
}

/** @param digest of a command's id; never empty */
export function findCommand(recent: RecentCommands, digest: string): RecentCommand | undefined {
  // An outcome holds no spaces, so what follows one is the beginning of an entry.
  const isThere = recent.text.startsWith(`${digest}.`) || recent.text.includes(` ${digest}.`);
  return isThere ? listCommands(recent).find((command) => command.digest === digest) : undefined;
}

/** Oldest first. @throws TypeError for an entry that is none */
export function listCommands({ base, text }: RecentCommands): RecentCommand[] {
  if (text === '') return [];
  let before = base;
  return text.split(' ').map((entry) => {
    const command = commandIn(entry, before);
    before = command;
    return command;
  });
}

/** The header's value: the base, and then the text. */
export function recentHeader({ base, text }: RecentCommands): string {
  const place = `${base.version.toString(36)}.${base.sequence.toString(36)}`;
  return text === '' ? place : `${place} ${text}`;
}

const BASE = /^([\da-z]{1,11})\.([\da-z]{1,11})$/;

/** Takes the header's value; it is our own, so anything odd in it is a fault. @throws TypeError */
export function readRecent(header: string): RecentCommands {
  const end = header.indexOf(' ');
  const text = end === -1 ? '' : header.slice(end + 1);
  const [, version = '', sequence = ''] = BASE.exec(end === -1 ? header : header.slice(0, end)) ?? [];
  const base = { version: parseInt(version, 36), sequence: parseInt(sequence, 36) };
  if (!isPlace(base) || (end !== -1 && text === '')) throw notAList(header);
  const commands = listCommands({ ...NO_COMMANDS, base, text });
  const { version: newestVersion, sequence: newestSequence } = commands.at(-1) ?? base;
  const newest = { version: newestVersion, sequence: newestSequence };
  return { text, bytes: bytesOf(text, false), count: commands.length, base, newest };
}

const ENTRY = /^([\w-]*)\.([\w-]*)\.(|-?[\da-z]{1,11})\.(-?[\da-z]{1,11})(!?)(?:\.(\{.+\}))?$/;

function commandIn(entry: string, before: Place): RecentCommand {
  const [, digest, body, version = '', sequence = '', refused, inline] = ENTRY.exec(entry) ?? [];
  if (digest === undefined || body === undefined || entry.search(UNSAFE) !== -1) throw notAList(entry);
  const command: RecentCommand = {
    digest,
    body,
    version: before.version + stepOf(version),
    sequence: before.sequence + parseInt(sequence, 36),
  };
  if (!isPlace(command)) throw notAList(entry);
  if (refused === '!') command.isRefused = true;
  if (inline !== undefined) command.inline = outcomeIn(inline);
  return command;
}

function outcomeIn(text: string): InlineOutcome {
  try {
    const outcome = JSON.parse(text) as InlineOutcome;
    if (typeof outcome.event === 'string' && typeof outcome.state === 'object') return outcome;
  } catch {
    // Told below.
  }
  throw notAList(text);
}

/** Where an entry stands, without a look at the rest of it. */
function placeOf(entry: string, before: Place): Place {
  const first = entry.indexOf('.', entry.indexOf('.') + 1) + 1;
  const second = entry.indexOf('.', first) + 1;
  // What follows the number, such as an outcome, does not count.
  const sequence = before.sequence + parseInt(entry.slice(second), 36);
  return { version: before.version + stepOf(entry.slice(first, second - 1)), sequence };
}

function stepOf(text: string): number {
  return text === '' ? 1 : parseInt(text, 36);
}

function isPlace({ sequence, version }: Place): boolean {
  return Number.isSafeInteger(version) && Number.isSafeInteger(sequence) && version >= 0 && sequence >= 0;
}

function notAList(text: string): TypeError {
  return new TypeError(`not a value of Mesh-Recent: ${text.slice(0, 80)}`);
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
