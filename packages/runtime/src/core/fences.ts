/**
 * The highest fencing token that an entity has seen of each resource, as it rides on its newest message (header
 * `Mesh-Fences`): part of what the compare-and-set guards, so no lower token can commit once a higher one has.
 *
 * Kept as the very text of the header, as the recent commits are: most entities have none, and a commit carries it on
 * without looking into it.
 *
 * Invariants: each resource stands once, and none is ever dropped (a forgotten one would let a stale token through);
 * tokens only grow; at most 32 resources and 3,168 bytes; the text is one header line of ASCII characters.
 */
import { decodeToken, encodeToken, LIMITS } from '@meshforge/protocol';

/** The header's value: `<resource as a subject token>.<token to the base 36> …`. */
export type Fences = string;

export const NO_FENCES: Fences = '';

/** Bytes of an entry beside the resource: a point, a space, and the longest token, so that it always has room to grow. */
const ENTRY_BYTES = 2 + Number.MAX_SAFE_INTEGER.toString(36).length;

/** The highest token of the resource; 0 = none was seen. */
export function highestToken(fences: Fences, resource: string): number {
  if (fences === NO_FENCES) return 0;
  const entry = entryOf(fences, encodeToken(resource));
  return entry === undefined ? 0 : tokenOf(entry);
}

/** With this token as the highest of its resource, unless a higher one stands; undefined when there is no room. */
export function raiseToken(fences: Fences, resource: string, token: number): Fences | undefined {
  const key = encodeToken(resource);
  const entry = entryOf(fences, key);
  const raised = `${key}.${token.toString(36)}`;
  if (entry !== undefined) {
    if (tokenOf(entry) >= token) return fences;
    return entries(fences)
      .map((other) => (other === entry ? raised : other))
      .join(' ');
  }
  if (fences === NO_FENCES) return raised;
  const others = entries(fences);
  if (others.length >= LIMITS.fencedResources) return undefined;
  const bytes = others.reduce((sum, other) => sum + keyOf(other).length + ENTRY_BYTES, key.length + ENTRY_BYTES);
  return bytes > LIMITS.fencesBytes ? undefined : `${fences} ${raised}`;
}

const TOKEN = /^[1-9a-z][\da-z]{0,10}$/;

/** Takes the header's value; it is our own, so anything odd in it is a fault. @throws TypeError */
export function readFences(header: string): Fences {
  if (header === NO_FENCES) return NO_FENCES;
  const seen = new Set<string>();
  for (const entry of entries(header)) {
    const key = keyOf(entry);
    const isResource = decodeToken(key) !== undefined && !seen.has(key);
    if (!isResource || !TOKEN.test(entry.slice(key.length + 1)) || !Number.isSafeInteger(tokenOf(entry))) {
      throw new TypeError(`no entry of Mesh-Fences: ${entry.slice(0, 80)}`);
    }
    seen.add(key);
  }
  return header;
}

function entries(fences: Fences): string[] {
  return fences.split(' ');
}

/** No resource has a point or a space in its token, so it is certain where one ends. */
function entryOf(fences: Fences, key: string): string | undefined {
  return entries(fences).find((entry) => entry.startsWith(`${key}.`));
}

function keyOf(entry: string): string {
  const point = entry.indexOf('.');
  return point === -1 ? entry : entry.slice(0, point);
}

function tokenOf(entry: string): number {
  return parseInt(entry.slice(entry.indexOf('.') + 1), 36);
}
