/**
 * Every limit of the wire, with its reason. A message over a limit is refused with `too_large` or `invalid_command`
 * and the refusal names the limit.
 */
export const LIMITS = {
  /** Characters (Unicode code points) of an entity id: 256 of four UTF-8 bytes percent-encode to 3 KiB, which leaves
   * room in the server's 4 KiB control line. */
  entityIdCharacters: 256,
  /** Characters of an agent's, action's or event's name: one subject token. */
  nameCharacters: 64,
  /** Characters of `Mesh-Command-Id`, `Mesh-Correlation-Id` and `Mesh-Causation-Id`: they ride on every event. */
  idHeaderCharacters: 128,
  /** Bytes of a `traceparent`, `tracestate` or `baggage` header: they ride on every event, and the server allows 64 KiB of headers. */
  traceHeaderBytes: 4_096,
  /** Resources whose fencing tokens one entity remembers: they ride on every commit, and none may be forgotten. */
  fencedResources: 32,
  /** Bytes that they may take in the header, each with room for the longest token: what is left of the server's 64 KiB
   * beside the recent commits, the ids and the trace. The longest resource fits. */
  fencesBytes: 3_168,
  /** Bytes of an entity's state as JSON: half of the server's default 1 MiB payload; the rest holds data and headers. */
  stateBytes: 524_288,
  /** Bytes of what an agent's rules keep beside the state: the server allows 64 KiB of headers. */
  noteBytes: 16_384,
  /** Bytes of a command or query body: the server's default payload limit. */
  commandBytes: 1_048_576,
  /** Bytes of a durable command with its headers: as a dead letter it has to fit into a message with a note of why. */
  durableBytes: 1_032_192,
  /** Levels of arrays and objects in what a caller sends: deeper ones serve nobody and overflow recursive readers. */
  jsonDepth: 64,
  /** Levels in what an agent sends: the data of a command comes back deeper, in the state of a history's event. */
  replyJsonDepth: 256,
  /** Characters of a refusal's reason: it also rides in a header, and says to a person what was wrong. */
  reasonCharacters: 1_024,
  /** Characters of an issue's path and of its message. */
  issueCharacters: 256,
  /** Characters that a refusal quotes of a key: one sent by a caller can be a megabyte long. */
  keyCharacters: 64,
  /** Issues named in one rejection: a body with a thousand unknown keys gets a short answer. */
  issues: 16,
  /** Events that one `history` query returns at most; 50 if it does not say. */
  historyEvents: 1_000,
  /** Entities that one `list` query returns at most; 100 if it does not say. */
  listEntities: 1_000,
} as const;
