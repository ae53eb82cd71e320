/** An error of JetStream's API. */
export interface ApiError {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

function apiError(code: number, errorCode: number, description: string): ApiError {
  return { code, err_code: errorCode, description };
}

export const API_ERRORS = {
  badRequest: apiError(400, 10_003, 'bad request'),
  noPeers: apiError(400, 10_005, 'no suitable peers for placement'),
  notAvailable: apiError(503, 10_008, 'JetStream system temporarily unavailable'),
  consumerNotFound: apiError(404, 10_014, 'consumer not found'),
  noMessage: apiError(404, 10_037, 'no message found'),
  tooLarge: apiError(400, 10_054, 'message size exceeds maximum allowed'),
  streamNameInUse: apiError(400, 10_058, 'stream name already in use with a different configuration'),
  streamNotFound: apiError(404, 10_059, 'stream not found'),
  streamNotMatch: apiError(400, 10_060, 'expected stream does not match'),
  subjectsOverlap: apiError(400, 10_065, 'subjects overlap with an existing stream'),
  workQueueNoAck: apiError(400, 10_084, 'consumer in pull mode requires explicit ack policy on workqueue stream'),
  workQueueNotExplicit: apiError(400, 10_098, 'workqueue stream requires explicit ack'),
  workQueueNotUnique: apiError(400, 10_100, 'filtered consumer not unique on workqueue stream'),
  workQueueMultiple: apiError(400, 10_099, 'multiple non-filtered consumers not allowed on workqueue stream'),
  workQueueNotAll: apiError(400, 10_101, 'consumer must be deliver all on workqueue stream'),
  duplicateFilters: apiError(400, 10_136, 'consumer cannot have both FilterSubject and FilterSubjects specified'),
  overlappingFilters: apiError(400, 10_138, 'consumer subject filters cannot overlap'),
  invalidGroup: apiError(400, 10_160, 'Provided priority group does not exist for this consumer'),
  consumerExists: apiError(400, 10_148, 'consumer already exists'),
  consumerDoesNotExist: apiError(400, 10_149, 'consumer does not exist'),
  idInProcess: apiError(409, 10_158, 'duplicate message id is in process'),
  wrongLastInFlight: apiError(400, 10_164, 'wrong last sequence'),
  ttlInvalid: apiError(400, 10_165, 'invalid per-message TTL'),
  ttlDisabled: apiError(400, 10_166, 'per-message TTL is disabled'),
  schedulesDisabled: apiError(400, 10_188, 'message schedules is disabled'),
  scheduleInvalid: apiError(400, 10_189, 'message schedules pattern is invalid'),
  scheduleTargetInvalid: apiError(400, 10_190, 'message schedules target is invalid'),
  scheduleTtlInvalid: apiError(400, 10_191, 'message schedules invalid per-message TTL'),
  scheduleRollupInvalid: apiError(400, 10_192, 'message schedules invalid rollup'),
  lastSequenceMissing: apiError(400, 10_193, 'missing sequence for expected last sequence per subject'),
  schedulerInvalid: apiError(400, 10_212, 'message schedules invalid scheduler'),
} as const;

export const wrongLastSequence = (last: number): ApiError => apiError(400, 10_071, `wrong last sequence: ${last}`);
export const wrongLastId = (last: string): ApiError => apiError(400, 10_070, `wrong last msg ID: ${last}`);
export const sequenceNotFound = (sequence: number): ApiError => apiError(400, 10_043, `sequence ${sequence} not found`);
export const rollupFailed = (why: string): ApiError => apiError(500, 10_111, why);
export const storeFailed = (why: string): ApiError => apiError(503, 10_077, why);
export const deleteFailed = (why: string): ApiError => apiError(500, 10_057, why);
export const purgeFailed = (why: string): ApiError => apiError(500, 10_110, why);
export const invalidConfig = (why: string): ApiError => apiError(500, 10_052, why);
export const invalidJson = (why: string): ApiError => apiError(400, 10_025, `invalid JSON: ${why}`);
export const consumerCreateFailed = (why: string): ApiError => apiError(500, 10_012, why);
