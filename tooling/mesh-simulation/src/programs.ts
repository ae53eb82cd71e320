import { command, type AnyAgent, type Logger } from '@meshforge/runtime';
import { Mesh, startAgentOn, type AgentPorts } from '@meshforge/runtime/simulation';
import { journal, stock } from './agents.ts';
import type { Place, Program } from './host.ts';

/** Faults of a rule are given up soon, so that dead letters come within a history. */
const RETRY = { maxTries: 3, firstPauseMs: 50, maxPauseMs: 1_000 };

export interface ProgramOptions {
  streamReplicas: number;
  /** Told what a program logs as an error. */
  onError: (text: string) => void;
}

/** A replica of an agent. */
export async function runAgent(agent: AnyAgent, place: Place, options: ProgramOptions): Promise<Program> {
  const connect = (({ inboxPrefix }: { inboxPrefix?: string } = {}) =>
    place.connect(inboxPrefix)) as unknown as AgentPorts['connect'];
  const { streamReplicas } = options;
  const logger = loggerOf(place, options);
  const running = await startAgentOn({ clock: place.process.clock, connect }, agent, {
    streamReplicas,
    retry: RETRY,
    logger,
  });
  return { stop: () => running.stop(), isReady: () => running.ready() };
}

export const REACTION = 'noting';

/** A process that follows `stock` and tells `journal`. */
export async function runReactor(place: Place, { onError }: ProgramOptions): Promise<Program> {
  const mesh = new Mesh(await place.connect(), {}, place.process.clock);
  try {
    await mesh.react(
      stock,
      { name: REACTION, retry: RETRY, onFault: (error) => onError(`${place.process.name}: ${String(error)}`) },
      ({ entityId, entityVersion }) =>
        command(journal, 'note', { entityId: `of-${entityId}`, data: { version: entityVersion } }),
    );
  } catch (error) {
    void mesh.close();
    throw error;
  }
  return { stop: () => mesh.close(), isReady: () => true };
}

function loggerOf({ process }: Place, { onError }: ProgramOptions): Logger {
  const quiet = (): void => {};
  const error = (fields: object, text: string): void => onError(`${process.name}: ${text} ${describe(fields)}`);
  return { debug: quiet, info: quiet, warn: quiet, error };
}

function describe(fields: object): string {
  const { err } = fields as { err?: unknown };
  return err instanceof Error ? err.message : JSON.stringify(fields);
}
