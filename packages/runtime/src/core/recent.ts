/**
 * The recent commits of an entity, as they ride on its newest message (header `Mesh-Recent`): how a retry is recognised
 * and where its first outcome is found.
 *
 * They are kept as the very text of the header, for they are written with every commit and read with few: a look is a
 * search in a string, and an entry is only parsed when it is the one.
 *
 * Invariants: entries are in log order, oldest first, separated by spaces; at most 32 name a command (I5); the text is
 * one header line.
 */
import type { JsonObject } from '@meshforge/protocol';

const encoder = new TextEncoder();

/** Retries are recognised among this many last commands of an entity; the server's dedupe window (10 min) is a second net. */
export const RECENT_COMMANDS = 32;
/** Bytes of the whole text: the server allows 64 KiB of headers. Only long outcomes of leases come near it. */
export const RECENT_BYTES = 40_960;

/** The outcome of a lease commit, kept inline since the next one on its subject rolls its message up. */
export interface InlineOutcome {
  event: string;
  state: JsonObject | null;
  data?: JsonObject;
}

export interface RecentCommit {
  /** Short digest of the command's id, of `A-Z a-z 0-9 _ -`; empty for an expiry, which no command caused. */
  digest: string;
  version: number;
  /** Where the commit is in the stream. */
  sequence: number;
  inline?: InlineOutcome | undefined;
}

export interface RecentCommits {
  /** The header's value: `<digest>.<version>.<sequence>[.<outcome as JSON>] …`, numbers to the base 36. */
  readonly text: string;
  /** Of the text, in UTF-8. */
  readonly bytes: number;
  readonly count: number;
}

export const NO_COMMITS: RecentCommits = Object.freeze({ text: '', bytes: 0, count: 0 });

/** The list with one more entry, trimmed to its bounds. @param maxBytes less where other headers are long */
export function remember(recent: RecentCommits, commit: RecentCommit, maxBytes = RECENT_BYTES): RecentCommits {
  const entry = entryOf(commit);
  const entryBytes = bytesOf(entry, commit.inline === undefined);
  const { text, bytes, count } = trim(recent, RECENT_COMMANDS - 1, maxBytes - entryBytes - 1);
  if (count === 0) return { text: entry, bytes: entryBytes, count: 1 };
  return { text: `${text} ${entry}`, bytes: bytes + 1 + entryBytes, count: count + 1 };
}

/** The list without its oldest entries, as far as it must be for so many entries and bytes. */
export function trim(recent: RecentCommits, maxCount: number, maxBytes: number): RecentCommits {
  let { text, bytes, count } = recent;
  if (count <= maxCount && bytes <= maxBytes) return recent;
  while (count > maxCount || (count > 0 && bytes > maxBytes)) {
    const end = text.indexOf(' ');
    const oldest = end === -1 ? text : text.slice(0, end + 1);
    bytes -= bytesOf(oldest, bytes === text.length);
    text = text.slice(oldest.length);
    count--;
  }
  return { text, bytes, count };
}

/** What would end an entry or the header's line; JSON may name any character by its number. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const UNSAFE = /[\s\u0000-\u001f\u007f-\u009f]/g;

function entryOf({ digest, version, sequence, inline }: RecentCommit): string {
  const place = `${digest}.${version.toString(36)}.${sequence.toString(36)}`;
  if (inline === undefined) return place;
  const entry = `${place}.${JSON.stringify(inline).replace(UNSAFE, escape)}`;
  // Better a retry that is recognised and gets no outcome than one that is not.
  return bytesOf(entry, false) < RECENT_BYTES ? entry : place;
}

function bytesOf(text: string, isAscii: boolean): number {
  return isAscii ? text.length : encoder.encode(text).length;
}

/** @param digest of a command; never empty */
export function findCommit({ text }: RecentCommits, digest: string): RecentCommit | undefined {
  // An outcome holds no spaces, so what follows one is the beginning of an entry.
  if (text.startsWith(`${digest}.`)) return entryAt(text, 0);
  const space = text.indexOf(` ${digest}.`);
  return space === -1 ? undefined : entryAt(text, space + 1);
}

/** Whether the list goes back to the entity's first commit. */
export function remembersAll({ text }: RecentCommits): boolean {
  return text === '' || entryAt(text, 0).version === 1;
}

/** Oldest first. */
export function listCommits({ text }: RecentCommits): RecentCommit[] {
  return text === '' ? [] : text.split(' ').map((entry) => entryAt(entry, 0));
}

const ENTRY = /^([\w-]*)\.([\da-z]+)\.([\da-z]+)(?:\.(\{.+\}))?$/;

/** Takes the header's value; it is our own, so anything odd in it is a fault. @throws TypeError */
export function readRecent(header: string): RecentCommits {
  if (header === '') return NO_COMMITS;
  const entries = header.split(' ');
  const odd = entries.find((entry) => !isEntry(entry));
  if (odd !== undefined) throw new TypeError(`no entry of Mesh-Recent: ${odd.slice(0, 80)}`);
  return { text: header, bytes: bytesOf(header, false), count: entries.length };
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

function entryAt(text: string, start: number): RecentCommit {
  const end = text.indexOf(' ', start);
  const entry = end === -1 ? text.slice(start) : text.slice(start, end);
  const [, digest = '', version = '', sequence = '', inline] = ENTRY.exec(entry) ?? [];
  const commit: RecentCommit = { digest, version: parseInt(version, 36), sequence: parseInt(sequence, 36) };
  if (inline !== undefined) commit.inline = JSON.parse(inline) as InlineOutcome;
  return commit;
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
