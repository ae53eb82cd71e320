import { setTimeout as sleep } from 'node:timers/promises';
import type { Recorder } from './recorder.ts';
import type { Availability } from './report/availability.ts';

/** With every fault healed, each agent has to commit again within this time. */
const progressWithinMs = 60_000;
const pollMs = 100;

/** Progress must resume: waits until every agent has committed after this moment, and records a breach if one does not. */
export async function awaitProgress(
  recorder: Recorder,
  availability: Availability,
  agents: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const since = recorder.now();
  while (!availability.allCommittedSince(since)) {
    if (signal.aborted) return;
    if (recorder.now() - since > progressWithinMs) {
      const stuck = agents.filter((agent) => (availability.lastOf(agent) ?? 0) <= since);
      const what = `${stuck.join()} committed nothing for ${progressWithinMs / 1000} s after every fault was healed`;
      recorder.addBreach({ invariant: 'progress resumes', what, history: [] });
      return;
    }
    await sleep(pollMs);
  }
}
