import { setTimeout as sleep } from 'node:timers/promises';
import { clusterView, isHealthy, type ClusterView } from './monitoring.ts';

/** What is needed of a member to ask for its health. */
export interface ClusterMember {
  readonly name: string | undefined;
  readonly monitorUrl: string;
}

const pollMs = 50;

/**
 * Waits until the given members form one working cluster: all of them name the same meta leader, the leader counts each of
 * them as a current peer, each says of itself that it is healthy, and every stream and consumer on them is led by one of
 * them (without a leader a request is not answered at all). Never true for a minority, although a leader that lost its peers
 * calls itself leader for some seconds more. Throws after `timeoutMs` with what was missing last.
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
  const views = await Promise.all(members.map((member) => clusterView(member.monitorUrl)));
  const missing = whatIsMissingIn(members, views);
  if (missing !== undefined) return missing;
  const healthy = await Promise.all(members.map((member) => isHealthy(member.monitorUrl, true)));
  const sick = members.filter((_, index) => healthy[index] !== true).map((member) => member.name);
  return sick.length === 0 ? undefined : `not healthy yet: ${sick.join()}`;
}

function whatIsMissingIn(
  members: readonly ClusterMember[],
  views: readonly (ClusterView | undefined)[],
): string | undefined {
  const leaders = new Set(views.map((view) => view?.meta.leader ?? ''));
  const [leader] = leaders;
  if (leaders.size !== 1 || !leader)
    return `no common meta leader: ${[...leaders].map((name) => name || 'none').join()}`;
  const meta = views[members.findIndex((member) => member.name === leader)]?.meta;
  if (meta === undefined) return `the meta leader ${leader} is not among the members that are alive`;
  if (members.length * 2 <= meta.cluster_size) return `only ${members.length} of ${meta.cluster_size} are alive`;
  for (const { name } of members) {
    const peer = meta.replicas?.find((candidate) => candidate.name === name);
    if (name !== leader && !(peer?.current === true && peer.offline !== true)) return `${name} is not current`;
  }
  const names = members.map((member) => member.name);
  const leaderless = views.flatMap((view) => view?.assets ?? []).find((asset) => !names.includes(asset.leader));
  return leaderless === undefined ? undefined : `${leaderless.name} has no leader`;
}
