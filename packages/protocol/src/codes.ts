/** Codes with which MeshForge itself refuses a command or a query; an agent's own rules add theirs. */
export const REJECTION_CODES = [
  'invalid_command',
  'unknown_action',
  'not_found',
  'already_exists',
  'too_large',
  'stale_token',
  'lease_required',
  'too_many_resources',
  'decided_before',
  'expired',
  'contended',
  'unavailable',
] as const;
export type RejectionCode = (typeof REJECTION_CODES)[number];

/** `Nats-Service-Error-Code` of a conflict. */
export const CONFLICT_STATUS = 409;
/** `Nats-Service-Error-Code` of a refusal by an agent's own rule, and of a command whose lease does not do. */
export const RULE_STATUS = 422;

const STATUS: Readonly<Record<RejectionCode, number>> = {
  invalid_command: 400,
  unknown_action: 400,
  too_large: 400,
  not_found: 404,
  already_exists: 409,
  decided_before: 409,
  stale_token: RULE_STATUS,
  lease_required: RULE_STATUS,
  too_many_resources: RULE_STATUS,
  expired: RULE_STATUS,
  contended: 503,
  unavailable: 503,
};

/** `Nats-Service-Error-Code` for a rejection's code; every code that is not MeshForge's own is a domain rule. */
export function statusOfCode(code: string): number {
  return Object.hasOwn(STATUS, code) ? STATUS[code as RejectionCode] : RULE_STATUS;
}
