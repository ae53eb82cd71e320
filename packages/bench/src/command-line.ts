import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

export interface CommandLine {
  readonly full: boolean;
  readonly json: boolean;
  /** Where the JSON and the chart go. */
  readonly out: string;
  /** `updates`, or `updates/postgres-fsync`, or `postgres`: parts of `<load>/<contender>`; all when there is none. */
  readonly only: readonly string[];
  readonly rounds?: number;
  readonly sliceMs?: number;
  /** Measures instead what so many durable commands in its queue do to an agent. */
  readonly backlog?: number;
}

const help = `
Contenders bring up their own servers on 127.0.0.1: from the machine where it has them, else from Debian's packages and npm,
unpacked into the cache (\${XDG_CACHE_HOME:-~/.cache}/meshforge), which takes a while the first time. One that cannot be had
is reported. The machine should have nothing else to do.

Durability, of what is acknowledged:  fsync    survives power failure
                                      written  survives the death of the process
                                      memory   may be lost with the process

Exit codes:
  0  measured; whether a goal was met does not matter
  1  a contender did its work wrong
  2  nothing could be measured, or wrong usage
  130  interrupted`;

/** The parsed command line, or the exit code when that is all there is to do (help, wrong usage). */
export type Parsed =
  | { readonly kind: 'run'; readonly options: CommandLine }
  | { readonly kind: 'exit'; readonly code: number };

export function parseCommandLine(args: readonly string[]): Parsed {
  const command = new Command('bench')
    .description('Measures MeshForge against what its users would pick instead, in one run on this machine.')
    .option('--full', 'longer turns, more concurrency, up to a million entities: about a quarter of an hour', false)
    .option('--only <parts>', 'only contenders whose <load>/<id> contains one of these, separated by commas', list, [])
    .option('--rounds <number>', 'how often each contender has its turn', positive)
    .option('--slice-ms <ms>', 'how long a turn is', positive)
    .addOption(
      new Option('--backlog [commands]', 'instead: an agent that works off so many durable commands')
        .preset('100000')
        .argParser(positive),
    )
    .option('--out <directory>', 'where results go', 'bench/results')
    .option('--json', 'print the results as one JSON object and nothing else on stdout', false)
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

function list(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected an integer of at least 1');
  return value;
}
