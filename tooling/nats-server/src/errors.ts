import { howToGetOne } from './how-to-get-one.ts';

/** One place that was looked at, or one way that was tried, and why it gave no server. */
export interface FailedAttempt {
  readonly source: string;
  readonly reason: string;
}

/**
 * No usable nats-server, and nothing else to try. The message is meant to be shown as it is: it lists every attempt with
 * its reason and the exact command for each way to get a server.
 */
export class NatsServerNotFound extends Error {
  override readonly name = 'NatsServerNotFound';
  readonly attempts: readonly FailedAttempt[];

  constructor(attempts: readonly FailedAttempt[]) {
    const tried = attempts.map(({ source, reason }) => `  - ${source}: ${reason}`);
    super(['No usable nats-server. Tried:', ...tried, '', howToGetOne()].join('\n'));
    this.attempts = attempts;
  }
}

/** What is known about a server that did not come up. */
export interface StartFailure {
  readonly reason: string;
  /** The command line, so that the start can be repeated by hand. */
  readonly command: string;
  /** The tail of what the server wrote; empty when it wrote nothing. */
  readonly log: string;
}

/** The server was found but did not become ready. The message carries the tail of its log. */
export class NatsServerStartFailed extends Error {
  override readonly name = 'NatsServerStartFailed';
  readonly log: string;

  constructor({ reason, command, log }: StartFailure) {
    super(`nats-server did not start: ${reason}\n  command: ${command}\n  its log:\n${indent(log || '(empty)')}`);
    this.log = log;
  }

  /** Whether somebody else took one of the ports between picking it and listening on it. */
  get isPortClash(): boolean {
    return this.log.includes('address already in use');
  }
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
