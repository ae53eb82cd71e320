import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { answersOk, ManagedProcess, pickFreePorts } from '@meshforge/processes';
import { preloadArgs } from '../module-process.ts';

const { resolve: resolvePackage } = createRequire(import.meta.url);

export type App = '@meshforge/inventory' | '@meshforge/lock-manager';

export interface AgentProcessOptions {
  readonly app: App;
  readonly natsUrl: string;
  readonly streamReplicas?: number;
  /** A module of this package that runs in its process before it, and what that module says. */
  readonly preload?: URL;
  readonly onMessage?: (message: unknown) => void;
}

/** Starts an app of MeshForge as its users do: `node dist/main.js` in its folder, and nothing else told than where NATS is. */
export async function startAgentProcess({
  app,
  natsUrl,
  streamReplicas = 1,
  preload,
  onMessage,
}: AgentProcessOptions): Promise<ManagedProcess> {
  const before = preload === undefined ? [] : preloadArgs(preload);
  const [healthPort] = await pickFreePorts('127.0.0.1', 1);
  return await ManagedProcess.start({
    name: app,
    file: process.execPath,
    args: [...before, 'dist/main.js'],
    ...(onMessage !== undefined && { onMessage }),
    cwd: dirname(resolvePackage(`${app}/package.json`)),
    env: {
      PATH: process.env['PATH'],
      NATS_URL: natsUrl,
      STREAM_REPLICAS: String(streamReplicas),
      HEALTH_PORT: String(healthPort),
      LOG_LEVEL: 'warn',
    },
    isReady: async () => await answersOk(`http://127.0.0.1:${healthPort}/readyz`),
  });
}
