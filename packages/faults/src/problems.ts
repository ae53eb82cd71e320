/** The run was ended from outside. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** The harness, not MeshForge, is in trouble; the message says how. */
export class CannotRun extends Error {
  override readonly name = 'CannotRun';
}
