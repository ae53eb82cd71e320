/** What a {@link MeshError} is about. Outcomes of commands are values, not errors. */
export type MeshErrorCode =
  /** The caller's options are wrong. */
  | 'invalid_options'
  /** The server lacks something that MeshForge needs: its version, JetStream, a feature. */
  | 'server_unsuitable'
  /** A stream or consumer exists with other settings than are needed. */
  | 'stream_mismatch'
  /** A stream or consumer that was there is gone, or another one stands in its place; the message says what to do. */
  | 'gone'
  /** No definite answer in time; what became of the command is not known. Send it again with the same id. */
  | 'timeout'
  /** Nobody serves the agent, or the agent cannot decide now. Nothing changed. */
  | 'unavailable'
  /** The connection is closed or refused. */
  | 'connection'
  /** The bounded tries of an optimistic update were used up by conflicts. */
  | 'contended'
  /** A lock was not acquired; `details` say who holds it, until when, and when another try can succeed. */
  | 'lock_denied'
  /** A lease ended, or can no longer be known to be held, while it was in use; `details.cause` says why. */
  | 'lease_lost'
  /** A query found no such entity, or was malformed; `details` holds the answer. */
  | 'not_found'
  | 'rejected'
  /** An answer is none of the protocol's. */
  | 'protocol';

/** The one error class of MeshForge: a closed code, a message that says what to do, and the numbers in `details`. */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: MeshErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(options: { code: MeshErrorCode; message: string; details?: Record<string, unknown>; cause?: unknown }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.details = options.details ?? {};
  }
}
