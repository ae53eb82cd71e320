import { randomBytes } from 'node:crypto';
import { inventoryContract, lockContract } from '@meshforge/protocol';
import type { NatsConnection } from '@nats-io/nats-core';
import { CannotRun, Interrupted } from './cannot-run.ts';
import { CheckContext, type MeshAccess } from './check-context.ts';
import { CheckSkipped, type Check, type CheckResult, type SmokeReport } from './check.ts';
import { ALL_CHECKS } from './checks/all-checks.ts';
import { connectWithin, prepareConnection } from './connect.ts';
import { describeError } from './describe-error.ts';
import { EventWatch } from './event-watch.ts';
import { assertInboxPrefix, DEFAULT_INBOX_PREFIX } from './inbox-prefix.ts';
import { waitForAgents } from './readiness.ts';
import { settingsFromEnvironment, type ConnectionSettings } from './settings.ts';
import { eventLine, type OnLine } from './traffic.ts';

/** Everything has a default. */
export interface SmokeOptions {
  /** Default: what the `NATS_*` variables of the environment say. */
  readonly connection?: ConnectionSettings | undefined;
  /** Default: `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /** How long the server and the agents may take to be ready. Default: 10,000 ms. */
  readonly readyTimeoutMs?: number | undefined;
  /** How long one reply or one event may take. Default: 5,000 ms. */
  readonly patienceMs?: number | undefined;
  /** Runs only checks whose name contains this text, in any case. */
  readonly only?: string | undefined;
  /** Stops the run; what it made is cleaned up first. */
  readonly signal?: AbortSignal | undefined;
  /** Told each command, reply and event that goes by. */
  readonly onLine?: OnLine | undefined;
  /** Told each verdict as it falls. */
  readonly onResult?: ((result: CheckResult) => void) | undefined;
  /** Told of entities that could not be removed. */
  readonly onLeftover?: ((text: string) => void) | undefined;
}

/**
 * Runs the checks against a mesh that is up or about to be. Failed checks are results.
 * @throws CannotRun when nothing could be asked, Interrupted when the signal stopped it.
 */
export async function runSmoke(options: SmokeOptions = {}): Promise<SmokeReport> {
  const { readyTimeoutMs = 10_000, patienceMs = 5_000, onLine = () => undefined } = options;
  const signal = options.signal ?? new AbortController().signal;
  const checks = choose(options.only);
  const settings = options.connection ?? settingsFromEnvironment(process.env);
  const inboxPrefix = assertInboxPrefix(options.inboxPrefix ?? DEFAULT_INBOX_PREFIX);
  const open = await prepareConnection(settings, inboxPrefix);
  const deadline = performance.now() + readyTimeoutMs;
  let connection: NatsConnection | undefined;
  try {
    connection = await connectWithin(open, settings.servers, readyTimeoutMs, signal);
    const run = `smoke-${randomBytes(4).toString('hex')}`;
    const agents = [inventoryContract.name, lockContract.name];
    const onEvent = (event: Parameters<typeof eventLine>[0]): void => onLine(eventLine(event));
    const events = await EventWatch.open(connection, agents, { run, patienceMs, signal, onEvent });
    await waitForAgents(connection, Math.max(0, deadline - performance.now()), signal);
    return await runAll(checks, { connection, open, events, run, patienceMs, inboxPrefix, signal, onLine }, options);
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    await connection?.close();
  }
}

async function runAll(checks: readonly Check[], access: MeshAccess, options: SmokeOptions): Promise<SmokeReport> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    if (access.signal.aborted) throw new Interrupted();
    const context = new CheckContext(access);
    const result = await runOne(check, context);
    for (const leftover of await context.cleanUp()) options.onLeftover?.(leftover);
    if (access.signal.aborted) throw new Interrupted();
    results.push(result);
    options.onResult?.(result);
  }
  const skipped = results.filter((result) => result.skipped !== undefined).length;
  const failed = results.filter((result) => !result.ok).length;
  return { passed: results.length - skipped - failed, failed, skipped, checks: results };
}

async function runOne({ name, run }: Check, context: CheckContext): Promise<CheckResult> {
  const startedAt = performance.now();
  const elapsed = (): number => Math.round(performance.now() - startedAt);
  try {
    await run(context);
    return { name, ok: true, ms: elapsed() };
  } catch (error) {
    if (error instanceof CheckSkipped) return { name, ok: true, ms: elapsed(), skipped: error.message };
    return { name, ok: false, ms: elapsed(), error: describeError(error) };
  }
}

function choose(only: string | undefined): readonly Check[] {
  if (only === undefined) return ALL_CHECKS;
  const wanted = only.toLowerCase();
  const chosen = ALL_CHECKS.filter((check) => check.name.toLowerCase().includes(wanted));
  if (chosen.length > 0) return chosen;
  throw new CannotRun({
    problem: 'no check has such a name',
    tried: `--only ${JSON.stringify(only)} on ${ALL_CHECKS.length} checks`,
    expected: 'a part of at least one name, such as "conflict" or "lock"',
    remedy: 'take a word from the names that a whole run prints',
  });
}
