import { z } from 'zod';
import { CannotRun } from './cannot-run.ts';

/** Where the mesh is, and as whom to knock. */
export interface ConnectionSettings {
  /** `nats://host:port` or `tls://host:port`; any of one cluster. */
  readonly servers: readonly string[];
  /** Path of a credentials file (JWT and seed). */
  readonly credsFile?: string | undefined;
  /** Path of a file that holds an nkey seed. */
  readonly nkeySeedFile?: string | undefined;
  /** Path of a PEM file with the authority that signed the server's certificate; given, the connection must be TLS. */
  readonly tlsCaFile?: string | undefined;
}

const defaultServer = 'nats://127.0.0.1:4222';

const Server = z.string().regex(/^((nats|tls):\/\/)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)(:\d{1,5})?\/?$/, {
  error: 'expected nats://host:port (or a list of them, separated by commas) without user or password',
});

/** An empty variable means the same as none: that is how compose files and CI leave one out. */
const unsetWhenEmpty = (value: unknown): unknown => (value === '' ? undefined : value);
const Path = z.preprocess(unsetWhenEmpty, z.string().optional());

const Environment = z
  .object({
    NATS_URL: z.preprocess(
      unsetWhenEmpty,
      z
        .string()
        .default(defaultServer)
        .transform((list) => list.split(',').map((server) => server.trim()))
        .pipe(z.array(Server).min(1)),
    ),
    NATS_CREDS: Path,
    NATS_NKEY_SEED_FILE: Path,
    NATS_TLS_CA: Path,
  })
  .refine((env) => env.NATS_CREDS === undefined || env.NATS_NKEY_SEED_FILE === undefined, {
    error: 'NATS_CREDS and NATS_NKEY_SEED_FILE both say who this is: set one of them',
  });

/** @throws CannotRun naming each variable that is wrong. */
export function settingsFromEnvironment(env: NodeJS.ProcessEnv): ConnectionSettings {
  const parsed = Environment.safeParse(env);
  if (!parsed.success) {
    throw new CannotRun({
      problem: 'the environment is not usable',
      tried: parsed.error.issues
        .map((issue) => `${issue.path[0]?.toString() ?? 'environment'}: ${issue.message}`)
        .join('; '),
      expected: 'NATS_URL, NATS_CREDS, NATS_NKEY_SEED_FILE and NATS_TLS_CA as `meshforge-smoke --help` describes them',
      remedy: 'correct or unset what is named above',
    });
  }
  const { NATS_URL, NATS_CREDS, NATS_NKEY_SEED_FILE, NATS_TLS_CA } = parsed.data;
  return { servers: NATS_URL, credsFile: NATS_CREDS, nkeySeedFile: NATS_NKEY_SEED_FILE, tlsCaFile: NATS_TLS_CA };
}
