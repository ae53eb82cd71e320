import { writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

/** A server's place in a cluster. */
export interface ClusterPlace {
  readonly clusterName: string;
  readonly routePort: number;
  /** The route ports of all members, its own included. */
  readonly allRoutePorts: readonly number[];
  /** Other members reach this one only on the ports they were given: what it says of itself leads nowhere. */
  readonly isUnadvertised?: boolean;
}

/** Nobody listens there: members that hear of the address from each other fail to connect once, and leave it at that. */
const nowhere = '127.0.0.1:1';

/** All that is decided before a server starts; a restart uses it again unchanged. */
export interface ServerPlan {
  readonly binary: string;
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  /** Ours: holds the written configuration and the ports files, and the data when nobody named a place for it. */
  readonly workDir: string;
  readonly configPath: string | undefined;
  readonly name: string | undefined;
  readonly cluster: ClusterPlace | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly readyTimeoutMs: number;
}

/** The command line. What stands here wins over the same setting in a configuration file. */
export function serverArguments(plan: ServerPlan, portsDir: string): string[] {
  const { host, port, dataDir, configPath, name, cluster } = plan;
  const args = ['-a', host, '-p', String(port), '-m', '-1', '-js', '-sd', dataDir, '--ports_file_dir', portsDir];
  if (configPath !== undefined) args.push('-c', configPath);
  if (name !== undefined) args.push('-n', name);
  if (cluster !== undefined) {
    args.push('--cluster_name', cluster.clusterName, '--cluster', `nats://${host}:${cluster.routePort}`);
    args.push('--routes', cluster.allRoutePorts.map((routePort) => `nats://${host}:${routePort}`).join(','));
    if (cluster.isUnadvertised === true) args.push('--cluster_advertise', nowhere);
  }
  return args;
}

/** What a caller may say in a configuration. */
export interface ConfigurationOptions {
  /** Path of a nats-server configuration; its relative includes keep working. It must not name a JetStream `store_dir`. */
  readonly configFile?: string | undefined;
  /** The configuration itself, such as accounts and users. Includes in it are relative to a temporary directory. */
  readonly configText?: string | undefined;
  /** Bytes of the largest message. Default: the server's, 1 MiB. */
  readonly maxPayload?: number | undefined;
}

/** Brings the caller's configuration into one file; answers its path, or nothing when there is nothing to say. */
export async function writeConfiguration(workDir: string, options: ConfigurationOptions): Promise<string | undefined> {
  const { configFile, configText, maxPayload } = options;
  if (configFile !== undefined && configText !== undefined)
    throw new TypeError('give configFile or configText, not both');
  const lines: string[] = [];
  // The server resolves includes against the including file, also when they look absolute.
  if (configFile !== undefined) lines.push(`include ${JSON.stringify(relative(workDir, resolve(configFile)))}`);
  if (configText !== undefined) lines.push(configText);
  if (maxPayload !== undefined) lines.push(`max_payload: ${maxPayload}`);
  if (lines.length === 0) return undefined;
  const path = join(workDir, 'server.conf');
  await writeFile(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  return path;
}
