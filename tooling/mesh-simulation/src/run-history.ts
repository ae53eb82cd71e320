import { Random, SimulatedNats } from '@meshforge/simulated-nats';
import { check } from './checks/check.ts';
import { withSimulatedGlobals } from './patched-globals.ts';
import type { HistoryRecord } from './records.ts';
import type { Script } from './script.ts';
import { World } from './world.ts';

export interface Ran {
  script: Script;
  record: HistoryRecord | undefined;
  /** What was wrong; empty if nothing. */
  breaches: readonly string[];
  /** What the programs have logged as errors. */
  errors: readonly string[];
}

/** Runs one history and judges it. */
export async function runHistory(script: Script): Promise<Ran> {
  const strays: string[] = [];
  const onStray = (error: unknown): void => {
    strays.push(`nobody handles: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  };
  process.on('unhandledRejection', onStray);
  const nats = new SimulatedNats({ seed: script.seed, nodes: script.cast.nodes });
  let world: World | undefined;
  try {
    const record = await withSimulatedGlobals(nats.time, new Random(script.seed ^ 0x5eed), () => {
      world = new World(script, nats);
      return world.run();
    });
    return { script, record, breaches: [...strays, ...check(record)], errors: world?.errors ?? [] };
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { script, record: undefined, breaches: [`the simulation ends: ${why}`], errors: world?.errors ?? [] };
  } finally {
    process.off('unhandledRejection', onStray);
  }
}
