import { setTimeout as sleep } from 'node:timers/promises';
import type { Recorder } from './recorder.ts';
import type { AgentReplica } from './mesh/agent-replica.ts';
import type { Availability } from './report/availability.ts';

/** With every fault healed, each agent has to commit again within this time. */
const progressWithinMs = 60_000;
const pollMs = 100;

/**
 * Progress must resume: waits until every agent has committed after this moment, and every replica says that it is ready. Records a
 * breach if one does not.
 */
export async function awaitProgress(
  recorder: Recorder,
  availability: Availability,
  agents: readonly string[],
  replicas: readonly AgentReplica[],
  signal: AbortSignal,
): Promise<void> {
  const since = recorder.now();
  for (;;) {
    const ready = await Promise.all(replicas.map((replica) => replica.isReady()));
    const stuck = agents.filter((agent) => (availability.lastOf(agent) ?? 0) <= since);
    const unready = replicas.filter((_, index) => ready[index] !== true);
    if (signal.aborted || stuck.length + unready.length === 0) return;
    if (recorder.now() - since > progressWithinMs) {
      const after = `${progressWithinMs / 1000} s after every fault was healed`;
      const breach = (what: string): void => recorder.addBreach({ invariant: 'progress resumes', what, history: [] });
      if (stuck.length > 0) breach(`${stuck.join()} committed nothing within ${after}`);
      for (const replica of unready)
        breach(`${replica.name} is not ready ${after}: ${replica.logs().split('\n').at(-2)}`);
      return;
    }
    await sleep(pollMs);
  }
}
