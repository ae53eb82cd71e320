/** How long a lock is held unless it is unlocked. */
export const lockedForMs = 30_000;
