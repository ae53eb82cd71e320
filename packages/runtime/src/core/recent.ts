/**
 * The recent commits of an entity, as they ride on its newest message (header `Mesh-Recent`): how a retry is recognised
 * and where its first outcome is found.
 *
 * They are kept as the very text of the header, for they are written with every commit and read with few: a look is a
 * search in a string, and an entry is only parsed when it is the one.
 *
 * Invariants: entries are in log order, oldest first, separated by spaces; at most 32 name a command (I5); the text is
 * printable ASCII, so that it is one header line and as many bytes as characters.
 */
import type { JsonObject } from '@meshforge/protocol';

/** Retries are recognised among this many last commands of an entity; the server's dedupe window (10 min) is a second net. */
export const RECENT_COMMANDS = 32;
/** Characters of the whole text: the server allows 64 KiB of headers. Only long outcomes of leases come near it. */
const RECENT_CHARACTERS = 40_960;

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
  readonly count: number;
}

export const NO_COMMITS: RecentCommits = Object.freeze({ text: '', count: 0 });

const UNSAFE = /[^\x21-\x7e]/g;

/** The list with one more entry, trimmed to its bounds. */
export function remember(recent: RecentCommits, { digest, version, sequence, inline }: RecentCommit): RecentCommits {
  const place = `${digest}.${version.toString(36)}.${sequence.toString(36)}`;
  const outcome = inline === undefined ? '' : `.${JSON.stringify(inline).replace(UNSAFE, escape)}`;
  // Better a retry that is recognised and gets no outcome than one that is not.
  const entry = place.length + outcome.length < RECENT_CHARACTERS ? place + outcome : place;
  let { text, count } = recent;
  while (count >= RECENT_COMMANDS || (count > 0 && text.length + entry.length >= RECENT_CHARACTERS)) {
    text = count === 1 ? '' : text.slice(text.indexOf(' ') + 1);
    count--;
  }
  return { text: count === 0 ? entry : `${text} ${entry}`, count: count + 1 };
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
  const odd = entries.find((entry) => !ENTRY.test(entry));
  if (odd !== undefined) throw new TypeError(`no entry of Mesh-Recent: ${odd.slice(0, 80)}`);
  return { text: header, count: entries.length };
}

function entryAt(text: string, start: number): RecentCommit {
  const end = text.indexOf(' ', start);
  const entry = end === -1 ? text.slice(start) : text.slice(start, end);
  const [, digest = '', version = '', sequence = '', inline] = ENTRY.exec(entry) ?? [];
  const commit: RecentCommit = { digest, version: parseInt(version, 36), sequence: parseInt(sequence, 36) };
  if (inline !== undefined) commit.inline = JSON.parse(inline) as InlineOutcome;
  return commit;
}

/** JSON text may name any character so. */
function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
