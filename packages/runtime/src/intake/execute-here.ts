import { eventSubject, readOutcome, type JsonObject, type Outcome } from '@meshforge/protocol';
import { nuid } from '@nats-io/nats-core';
import { commandBody } from '../client/command-body.ts';
import { commandHeaders } from '../client/command-headers.ts';
import type { RequestOptions } from '../client/types.ts';
import { MeshError } from '../errors.ts';
import { withActiveTrace } from '../telemetry/trace-headers.ts';
import type { CommandIntake } from './command-intake.ts';

/** A command as a client would request it. It takes as long as it takes: there is no time-out. */
export type CommandHere = Omit<RequestOptions<JsonObject>, 'timeoutMs'>;

/**
 * Decides a command in the agent's own process. It passes through the bytes of the wire, so that it is checked as any other
 * and nothing but JSON gets into the log.
 *
 * @throws MeshError `invalid_options`, and `timeout` when the agent stopped before the fate of the command was known
 */
export async function executeHere(
  intake: CommandIntake,
  agent: string,
  action: string,
  command: CommandHere,
): Promise<Outcome & { commandId: string }> {
  const { commandId = nuid.next() } = command;
  const lines = withActiveTrace(commandHeaders(commandId, command));
  const outcome = await intake.execute(action, commandBody(command), { commandId, lines, issues: [] });
  if (outcome.kind === 'abandoned' || outcome.kind === 'deferred') {
    throw new MeshError({
      code: 'timeout',
      message: `the agent stopped before the fate of command ${commandId} was known: send it again with the same id`,
      details: { commandId },
    });
  }
  const reply = { event: eventSubject(agent, outcome.event), payload: JSON.parse(outcome.payload) as JsonObject };
  return { ...(readOutcome(reply, outcome.kind === 'replayed') as Outcome), commandId };
}
