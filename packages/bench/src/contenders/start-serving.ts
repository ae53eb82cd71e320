import { ManagedProcess } from '@meshforge/processes';
import { moduleProcess } from '../module-process.ts';

/** Starts a service of this package, which sends a message when it serves. */
export async function startServing(
  name: string,
  script: URL,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<ManagedProcess> {
  let serving = false;
  return await ManagedProcess.start({
    name,
    ...moduleProcess(script, args),
    env: { ...process.env, ...env },
    onMessage: () => (serving = true),
    isReady: () => serving,
  });
}
