import { z } from 'zod';
import { MeshError } from '../errors.ts';

const port = z.coerce.number().int().min(0).max(65_535);

/** What a process of MeshForge reads from its environment. */
const Environment = z.object({
  NATS_URL: z.string().min(1).default('nats://127.0.0.1:4222'),
  NATS_CREDS: z.string().min(1).optional(),
  NATS_NKEY_SEED_FILE: z.string().min(1).optional(),
  NATS_TLS_CA: z.string().min(1).optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  /** Unset = no health endpoint. 0 = any free port, which the log names. */
  HEALTH_PORT: port.optional(),
  STREAM_REPLICAS: z.coerce
    .number()
    .refine((replicas) => [1, 3, 5].includes(replicas), { error: 'expected 1, 3 or 5' })
    .default(1),
});
export type Environment = z.output<typeof Environment>;

/**
 * Reads the environment; a variable that is set to nothing counts as unset.
 * @throws MeshError `invalid_options` naming each variable that is wrong
 */
export function readEnvironment(variables: Readonly<Record<string, string | undefined>>): Environment {
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined && value !== ''));
  const result = Environment.safeParse(set);
  if (result.success) return result.data;
  const wrong = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new MeshError({ code: 'invalid_options', message: `the environment is wrong: ${wrong.join('; ')}` });
}
