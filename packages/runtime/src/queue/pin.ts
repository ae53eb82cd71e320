/** So long the server waits for a replica that it has not heard of, in milliseconds. The consumer must say the same. */
export const PIN_MS = 1_000;
/** The one group of the consumer. */
export const PIN_GROUP = 'executor';
