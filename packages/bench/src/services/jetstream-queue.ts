/** What the worker of a bare work queue and its clients agree on. */
export interface JetstreamQueue {
  readonly jobs: string;
  /** Subjects of jobs; the entity comes behind it. */
  readonly jobPrefix: string;
  readonly counters: string;
  readonly counterPrefix: string;
  /** Where the worker is asked how many jobs it has done. */
  readonly doneSubject: string;
}

/** `counter`: a job adds one to its entity. `floor`: it does nothing. */
export type QueueKind = 'counter' | 'floor';

export function jetstreamQueue(kind: QueueKind): JetstreamQueue {
  return {
    jobs: `JOBS_${kind}`,
    jobPrefix: `jobs.${kind}.`,
    counters: `COUNTERS_${kind}`,
    counterPrefix: `counters.${kind}.`,
    doneSubject: `done.${kind}`,
  };
}

/** The header of a job that says where to tell that it is done. */
export const outcomeHeader = 'Outcome-To';
/** The same as MeshForge's streams have. */
export const dedupeWindowMs = 600_000;
