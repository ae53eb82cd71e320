/** Names of the headers that MeshForge reads and writes. */
export const HEADERS = {
  commandId: 'Mesh-Command-Id',
  correlationId: 'Mesh-Correlation-Id',
  causationId: 'Mesh-Causation-Id',
  /** On a command, RFC 3339: it is not decided later than this, by the server's clock. */
  notAfter: 'Mesh-Not-After',
  /** On a reply, RFC 3339: the server's time when it was sent. */
  serverTime: 'Mesh-Server-Time',
  /** `true` on the reply to a command that had been decided before. */
  replayed: 'Mesh-Replayed',
  /** The commits that came before, as the agent needs them to recognise a retry; private to the agent. */
  recent: 'Mesh-Recent',
  /** The highest fencing token that the entity has seen of each resource; private to the agent. */
  fences: 'Mesh-Fences',
  /** What an agent's rules keep of the entity beside its state; private to the agent. */
  notes: 'Mesh-Notes',
  /** Place in the queue of the last durable command that was decided on the entity; private to the agent. */
  mark: 'Mesh-Mark',
  /** Digest of the command that led to it, so that its id is not taken for another one's; private to the agent. */
  body: 'Mesh-Body',
  /** `true` on an event that repeats the state and the version of the one before; private to the agent. */
  unchanged: 'Mesh-Unchanged',
  /** The lease that stood before such an event, or a refused command, and still stands; private to the agent. */
  lease: 'Mesh-Lease',
  /** On a durable command: the inbox that its outcome goes to. */
  outcomeTo: 'Mesh-Outcome-To',
  /** On a dead letter: where it comes from, why it is dead and when that was, as JSON. */
  deadLetter: 'Mesh-Dead-Letter',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  baggage: 'baggage',
  errorCode: 'Nats-Service-Error-Code',
  error: 'Nats-Service-Error',
} as const;

/** Copied from a command to its event and its reply. */
export const ID_HEADERS = [HEADERS.commandId, HEADERS.correlationId, HEADERS.causationId] as const;
export const TRACE_HEADERS = [HEADERS.traceparent, HEADERS.tracestate, HEADERS.baggage] as const;

/**
 * What may stand in an id header: 1–128 characters, no control character (it could forge further headers), no white
 * space at the ends (NATS trims it).
 */
export const ID_HEADER_VALUE = /^(?!\s)[^\p{Cc}\p{Cs}]{1,128}(?<!\s)$/u;
/** What may stand in a trace header. Others are dropped: W3C asks that tracing never breaks a request. */
export const TRACE_HEADER_VALUE = /^[\x21-\x7e][\x20-\x7e]{0,4095}$/;
