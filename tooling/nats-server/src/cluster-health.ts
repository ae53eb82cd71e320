import { setTimeout as sleep } from 'node:timers/promises';
import { isHealthy, metaGroup } from './monitoring.ts';

/** What is needed of a member to ask for its health. */
export interface ClusterMember {
  readonly name: string | undefined;
  readonly monitorUrl: string;
}

const pollMs = 50;

/**
 * Waits until the given members form one working meta group: all of them name the same leader, the leader counts each of them
 * as a current peer, and each says of itself that it is healthy. Throws after `timeoutMs` with what was missing last.
 * `alive` is asked again each time, because members may be killed meanwhile.
 */
export async function waitForCluster(alive: () => readonly ClusterMember[], timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const missing = await whatIsMissing(alive());
    if (missing === undefined) return;
    if (performance.now() > deadline) {
      throw new Error(`the cluster was not ready within ${timeoutMs / 1000} s: ${missing}`);
    }
    await sleep(pollMs);
  }
}

async function whatIsMissing(members: readonly ClusterMember[]): Promise<string | undefined> {
  const groups = await Promise.all(members.map((member) => metaGroup(member.monitorUrl)));
  const leaders = new Set(groups.map((group) => group?.leader ?? ''));
  const [leader] = leaders;
  if (leaders.size !== 1 || !leader) return `members name different leaders: ${[...leaders].map((name) => name || '?').join()}`;
  const peers = groups[members.findIndex((member) => member.name === leader)]?.replicas;
  if (peers === undefined) return `the leader ${leader} is not among the members that are alive`;
  for (const { name } of members) {
    const peer = peers.find((candidate) => candidate.name === name);
    if (name !== leader && !(peer?.current === true && peer.offline !== true)) return `${name} is not current`;
  }
  const healthy = await Promise.all(members.map((member) => isHealthy(member.monitorUrl, true)));
  const sick = members.filter((_, index) => healthy[index] !== true).map((member) => member.name);
  return sick.length === 0 ? undefined : `not healthy yet: ${sick.join()}`;
}
