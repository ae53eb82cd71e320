/**
 * The recent commits of an entity, as they ride on its newest message (header `Mesh-Recent`): how a retry is recognised
 * and where its first outcome is found.
 *
 * Invariants: entries are in log order, oldest first; at most 32 name a command (I5); the text form is one header line.
 */
import type { JsonObject } from '@meshforge/protocol';

/** Retries are recognised among this many last commands of an entity; the server's dedupe window (10 min) is a second net. */
export const RECENT_COMMANDS = 32;
/** Bytes of the whole list: the server allows 64 KiB of headers. Only long outcomes of leases come near it. */
const RECENT_BYTES = 40_960;

/** The outcome of a lease commit, kept inline since the next one on its subject rolls its message up. */
export interface InlineOutcome {
  event: string;
  state: JsonObject | null;
  data?: JsonObject;
}

export interface RecentCommit {
  /** Short digest of the command's id; empty for an expiry, which no command caused. */
  digest: string;
  version: number;
  /** Where the commit is in the stream. */
  sequence: number;
  inline?: InlineOutcome;
  /** The entry as JSON, made once. */
  text: string;
  /** Of the text, in UTF-8. */
  bytes: number;
}

const encoder = new TextEncoder();

export function recentCommit(digest: string, version: number, sequence: number, inline?: InlineOutcome): RecentCommit {
  if (inline === undefined) {
    const text = JSON.stringify([digest, version, sequence]);
    // A digest is ASCII.
    return { digest, version, sequence, text, bytes: text.length };
  }
  const text = JSON.stringify([digest, version, sequence, inline]);
  return { digest, version, sequence, inline, text, bytes: encoder.encode(text).length };
}

/** The list with one more entry, trimmed to its bounds. */
export function remember(recent: readonly RecentCommit[], entry: RecentCommit): readonly RecentCommit[] {
  const kept = recent.length < RECENT_COMMANDS ? [...recent, entry] : [...recent.slice(1 - RECENT_COMMANDS), entry];
  if (entry.inline !== undefined) {
    let bytes = kept.reduce((sum, commit) => sum + commit.bytes, 0);
    while (bytes > RECENT_BYTES) bytes -= kept.shift()?.bytes ?? bytes;
  }
  return kept;
}

export function findCommit(recent: readonly RecentCommit[], digest: string): RecentCommit | undefined {
  for (let i = recent.length - 1; i >= 0; i--) {
    const commit = recent[i] as RecentCommit;
    if (commit.digest === digest) return commit;
  }
  return undefined;
}

/** The header's value. */
export function formatRecent(recent: readonly RecentCommit[]): string {
  let text = '[';
  for (const [i, commit] of recent.entries()) text += i === 0 ? commit.text : `,${commit.text}`;
  return `${text}]`;
}

/** Reads the header's value; it is our own, so anything odd in it is a fault. @throws SyntaxError, TypeError */
export function parseRecent(header: string): readonly RecentCommit[] {
  if (header === '') return [];
  const entries = JSON.parse(header) as [string, number, number, InlineOutcome?][];
  return entries.map(([digest, version, sequence, inline]) => recentCommit(digest, version, sequence, inline));
}
