import type { Logged } from '../history.ts';

/** The reaction that the harness runs: what is added to a source, or taken from it, is added to its mirror, or taken from it. */
export const REACTION = 'mirroring';
/** Of ENTITIES_inventory: where it stands. */
export const REACTION_CONSUMER = `react_${REACTION}`;

/** That it follows, and that another release of it follows. Only adjustments lead to anything. */
export const EVENTS: readonly string[] = ['adjusted', 'updated'];
export const OTHER_EVENTS: readonly string[] = ['updated'];

export const SOURCES: readonly string[] = ['source 1', 'source 2', 'source 3'];

const mirrors = new Map(SOURCES.map((source) => [source, source.replace('source', 'mirror')]));
const mirrored = new Set(mirrors.values());

/** Undefined for what is no source. */
export function mirrorOf(entityId: string): string | undefined {
  return mirrors.get(entityId);
}

/** Whether the reaction asked for a commit, and no client. */
export function isReaction({ agent, causedBy, entityId }: Pick<Logged, 'agent' | 'causedBy' | 'entityId'>): boolean {
  return agent === 'inventory' && causedBy !== undefined && mirrored.has(entityId);
}
