import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const requestTimeoutMs = 2_000;

/** The monitoring address a server wrote into its ports file, or nothing as long as it did not. */
export async function monitoringUrl(portsDir: string): Promise<string | undefined> {
  try {
    const file = (await readdir(portsDir)).find((name) => name.endsWith('.ports'));
    if (file === undefined) return undefined;
    const ports: unknown = JSON.parse(await readFile(join(portsDir, file), 'utf8'));
    return (ports as { monitoring?: string[] }).monitoring?.[0];
  } catch {
    // Half written, or gone again because the server ended: the caller asks once more or sees the exit.
    return undefined;
  }
}

/** Whether the server takes connections and has JetStream enabled; with all its streams recovered and current if `fully`. */
export async function isHealthy(monitorUrl: string, fully: boolean): Promise<boolean> {
  const response = await ask(`${monitorUrl}/healthz${fully ? '' : '?js-enabled-only=true'}`);
  return response?.status === 200;
}

/** What `/jsz` tells, as far as it is used here. */
interface JetStreamReport {
  readonly meta_cluster?: MetaGroup;
  readonly account_details?: readonly { readonly stream_detail?: readonly StreamReport[] }[];
}

interface AssetReport {
  readonly name: string;
  readonly cluster?: { readonly leader?: string };
}

interface StreamReport extends AssetReport {
  readonly consumer_detail?: readonly AssetReport[];
}

/** The group of all members that decides about streams. Only its leader lists the peers. */
interface MetaGroup {
  readonly leader?: string;
  readonly cluster_size: number;
  readonly replicas?: readonly { readonly name: string; readonly current: boolean; readonly offline?: boolean }[];
}

/** What a member knows of its cluster. */
export interface ClusterView {
  readonly meta: MetaGroup;
  /** The streams and consumers of which this member holds a replica, each with the leader it knows, if any. */
  readonly assets: readonly { readonly name: string; readonly leader: string | undefined }[];
}

/** Asks a member for its view; nothing when it does not answer or is not part of a cluster. */
export async function clusterView(monitorUrl: string): Promise<ClusterView | undefined> {
  const response = await ask(`${monitorUrl}/jsz?accounts=true&streams=true&consumers=true`);
  if (response?.status !== 200) return undefined;
  const report = JSON.parse(response.body) as JetStreamReport;
  if (report.meta_cluster === undefined) return undefined;
  const streams = (report.account_details ?? []).flatMap((account) => account.stream_detail ?? []);
  const consumers = streams.flatMap((stream) => stream.consumer_detail ?? []);
  const assets = [...streams, ...consumers].map(({ name, cluster }) => ({ name, leader: cluster?.leader }));
  return { meta: report.meta_cluster, assets };
}

async function ask(url: string): Promise<{ status: number; body: string } | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(requestTimeoutMs), redirect: 'error' });
    return { status: response.status, body: await response.text() };
  } catch {
    return undefined;
  }
}
