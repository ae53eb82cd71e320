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

/** The part of `/jsz` that tells about the meta group. Only the leader lists its peers. */
export interface MetaGroup {
  readonly leader?: string;
  readonly cluster_size: number;
  readonly replicas?: readonly { readonly name: string; readonly current: boolean; readonly offline?: boolean }[];
}

/** What a member knows of the cluster's meta group; nothing when it is down or not part of one. */
export async function metaGroup(monitorUrl: string): Promise<MetaGroup | undefined> {
  const response = await ask(`${monitorUrl}/jsz`);
  if (response?.status !== 200) return undefined;
  return (JSON.parse(response.body) as { meta_cluster?: MetaGroup }).meta_cluster;
}

async function ask(url: string): Promise<{ status: number; body: string } | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(requestTimeoutMs), redirect: 'error' });
    return { status: response.status, body: await response.text() };
  } catch {
    return undefined;
  }
}
