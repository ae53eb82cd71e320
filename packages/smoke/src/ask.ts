import {
  PermissionViolationError,
  type Msg,
  type NatsConnection,
  type Payload,
  type PublishOptions,
} from '@nats-io/transport-node';
import { CheckFailed } from './check.ts';
import { describeError } from './describe-error.ts';

type Headers = NonNullable<PublishOptions['headers']>;

/** A request whose failure reads as a finding: who did not answer, and within what time. */
export async function ask(
  connection: NatsConnection,
  subject: string,
  body: Payload,
  options: { timeoutMs: number; headers?: Headers },
): Promise<Msg> {
  const { timeoutMs, headers } = options;
  try {
    return await connection.request(subject, body, {
      timeout: timeoutMs,
      ...(headers === undefined ? {} : { headers }),
    });
  } catch (error) {
    const reason = connection.isClosed() ? 'the connection is closed' : describeError(error);
    throw new CheckFailed(`${subject}: expected a reply within ${timeoutMs} ms, got none: ${reason}`, { cause: error });
  }
}

/** The server's refusal somewhere under an error, if that is what it is. */
export function permissionViolation(error: unknown): PermissionViolationError | undefined {
  if (error instanceof PermissionViolationError) return error;
  return error instanceof Error ? permissionViolation(error.cause) : undefined;
}
