import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { DEFAULT_INBOX_PREFIX } from './inbox-prefix.ts';

export interface CommandLine {
  readonly inboxPrefix: string;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Seconds. */
  readonly timeout: number;
  readonly only?: string;
}

const help = `
Environment:
  NATS_URL              server, or servers separated by commas (default: nats://127.0.0.1:4222)
  NATS_CREDS            path of a credentials file
  NATS_NKEY_SEED_FILE   path of an nkey seed, instead of NATS_CREDS
  NATS_TLS_CA           path of the PEM file of the authority that signed the server's certificate

Exit codes:
  0  every check passed
  1  a check failed
  2  nothing could be checked: no server, no agents, not permitted, wrong usage
  130  interrupted; what the run had made is removed

The user needs publish on cmd.>, qry.> and $SRV.>, subscribe on evt.> and on its inbox. What the run makes is named
smoke-<random>-… and is removed again, so runs may repeat and overlap.`;

/** The parsed command line, or the exit code when that is all there is to do (help, wrong usage). */
export type Parsed =
  | { readonly kind: 'run'; readonly options: CommandLine }
  | { readonly kind: 'exit'; readonly code: number };

export function parseCommandLine(args: readonly string[]): Parsed {
  const command = new Command('meshforge-smoke')
    .description('Checks a running mesh over the wire, one fact per check.')
    .option('--inbox-prefix <prefix>', 'where answers go; must begin with _INBOX', DEFAULT_INBOX_PREFIX)
    .option('--timeout <seconds>', 'how long to wait until the mesh is ready', seconds, 10)
    .option('--only <text>', 'run only checks whose name contains the text')
    .option('--verbose', 'print each command and event that goes by', false)
    .option('--json', 'print one JSON object and nothing else on stdout', false)
    .addHelpText('after', help)
    .allowExcessArguments(false)
    .exitOverride();
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return { kind: 'exit', code: error.exitCode === 0 ? 0 : 2 };
    throw error;
  }
  return { kind: 'run', options: command.opts<CommandLine>() };
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0 || value > 86_400) {
    throw new InvalidArgumentError('expected seconds, 0 to 86400');
  }
  return value;
}
