/** Older servers lack message schedules and the compare-and-set filter that MeshForge is built on. */
export const MINIMUM_VERSION = '2.14.0';

/** The release that is fetched, with its checksums, when the machine has no server. */
export const RELEASE_VERSION = '2.14.5';
