/** What BullMQ's worker and its clients agree on. */
export const queueName = 'jobs';
export const counterKey = (entity: string): string => `counter:${entity}`;
/** Who adds to the counter, in order to do it once, marks the job for as long as MeshForge's streams know an id. */
export const markSeconds = 600;
