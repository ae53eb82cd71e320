import { inventoryContract, lockContract } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/nats-core';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, permissionViolation } from './ask.ts';
import { CannotRun } from './cannot-run.ts';
import { describeError } from './describe-error.ts';

const pingTimeoutMs = 1_000;
const retryMs = 200;

/** Resolves when both agents answer a ping. @throws CannotRun after `timeoutMs`, or at once when pinging is forbidden. */
export async function waitForAgents(connection: NatsConnection, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (const { name } of [inventoryContract, lockContract])
    await waitForAgent(connection, name, deadline, timeoutMs, signal);
}

async function waitForAgent(
  connection: NatsConnection,
  name: string,
  deadline: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const subject = `$SRV.PING.${name}`;
  for (;;) {
    const leftMs = deadline - performance.now();
    try {
      await ask(connection, subject, '', { timeoutMs: Math.min(pingTimeoutMs, Math.max(retryMs, leftMs)) });
      return;
    } catch (error) {
      const violation = permissionViolation(error);
      if (violation !== undefined) throw forbidden(subject, violation);
      if (leftMs <= retryMs || connection.isClosed()) throw silent(connection, name, timeoutMs, error);
      await sleep(retryMs, undefined, { signal });
    }
  }
}

function forbidden(subject: string, cause: Error): CannotRun {
  return new CannotRun({
    problem: 'this user may not speak to the mesh',
    tried: `${subject}: ${describeError(cause)}`,
    expected: 'permission to publish $SRV.>, cmd.>, qry.> and to subscribe its own inbox',
    remedy: 'use a client’s user, and give its inbox with --inbox-prefix where it has one of its own',
    cause,
  });
}

function silent(connection: NatsConnection, name: string, timeoutMs: number, cause: unknown): CannotRun {
  return new CannotRun({
    problem: `the agent ${name} does not answer`,
    tried: `$SRV.PING.${name} on ${connection.isClosed() ? 'a connection that closed' : connection.getServer()} for ${timeoutMs / 1000} s`,
    expected: `one running process of the agent ${name}, connected to the same server and account`,
    remedy: 'start the mesh with `npm start`, or see in the agent’s log why it is not ready; --timeout waits longer',
    cause,
  });
}
