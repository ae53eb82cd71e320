import { randomInt } from 'node:crypto';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { FAULTS } from './faults/all.ts';

interface Shared {
  readonly minutes: number;
  readonly seed: number;
  readonly replicas: 1 | 3;
  readonly agents: number;
  readonly json: boolean;
  /** How to type it again, the seed included. */
  readonly command: string;
}

export interface FaultsCommandLine extends Shared {
  readonly kind: 'faults';
  readonly only?: readonly string[];
  readonly keepHistory?: string;
}

export interface SoakCommandLine extends Shared {
  readonly kind: 'soak';
}

/** The parsed command line, or the exit code when that is all there is to do (help, wrong usage). */
export type Parsed = FaultsCommandLine | SoakCommandLine | { readonly kind: 'exit'; readonly code: number };

const maxSeed = 0xffff_ffff;
const faultNames = FAULTS.map(({ name }) => name);

const help = `
Faults: ${faultNames.join(', ')}.

Exit codes:
  0  no breach
  1  a breach: what was expected, what was found, and the part of the history that shows it
  2  nothing could be tried: no nats-server, wrong usage; or a log was not read to its end, so that not all could be judged
  130  interrupted`;

export function parseCommandLine(args: readonly string[]): Parsed {
  let parsed: Parsed | undefined;
  const program = new Command('pnpm faults')
    .description('Tries to break MeshForge on a real cluster, and holds what happened against its invariants.')
    .addHelpText('after', help)
    .allowExcessArguments(false)
    .enablePositionalOptions()
    .exitOverride();
  addShared(program, 1)
    .option('--only <fault,…>', 'inject only these', names)
    .option('--keep-history <file>', 'keep what happened there, one JSON entry a line')
    .action((options: Omit<FaultsCommandLine, 'kind' | 'command'>) => {
      parsed = { ...options, kind: 'faults', command: again('', options) };
    });
  const soak = program
    .command('soak')
    .description('Long steady load, connections cut now and then: memory, descriptors and subscriptions must stay')
    .allowExcessArguments(false)
    .exitOverride();
  addShared(soak, 30).action((options: Omit<SoakCommandLine, 'kind' | 'command'>) => {
    parsed = { ...options, kind: 'soak', command: again(' soak', options) };
  });
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return { kind: 'exit', code: error.exitCode === 0 ? 0 : 2 };
    throw error;
  }
  return parsed ?? { kind: 'exit', code: 2 };
}

function addShared(command: Command, minutes: number): Command {
  return command
    .option('--minutes <number>', 'how long there is load', positive, minutes)
    .option('--seed <number>', 'the same seed draws the same faults and load (default: random)', seed)
    .addOption(
      new Option('--replicas <1|3>', 'a single server, or a cluster of three')
        .choices(['1', '3'])
        .argParser((text) => {
          if (text !== '1' && text !== '3') throw new InvalidArgumentError('expected 1 or 3');
          return Number(text);
        })
        .default(3),
    )
    .option('--agents <number>', 'replicas of each agent', count, 3)
    .option('--json', 'print one JSON object and nothing else on stdout', false)
    .hook('preAction', (self) => {
      if (self.getOptionValue('seed') === undefined) self.setOptionValue('seed', randomInt(maxSeed));
    });
}

function again(subcommand: string, options: Omit<FaultsCommandLine, 'kind' | 'command'>): string {
  const { minutes, seed: number, replicas, agents, only } = options;
  const chosen = only === undefined ? '' : ` --only ${only.join()}`;
  return `pnpm faults${subcommand} --seed ${number} --minutes ${minutes} --replicas ${replicas} --agents ${agents}${chosen}`;
}

function positive(text: string): number {
  return numberIn(text, (value) => value > 0 && value <= 10_000, 'minutes, up to 10,000');
}

function seed(text: string): number {
  return numberIn(
    text,
    (value) => Number.isInteger(value) && value >= 0 && value <= maxSeed,
    `an integer, 0 to ${maxSeed}`,
  );
}

function count(text: string): number {
  return numberIn(text, (value) => Number.isInteger(value) && value >= 1 && value <= 10, '1 to 10');
}

function numberIn(text: string, isOne: (value: number) => boolean, expected: string): number {
  const value = Number(text);
  if (text.trim() === '' || !isOne(value)) throw new InvalidArgumentError(`expected ${expected}`);
  return value;
}

function names(text: string): string[] {
  const chosen = text.split(',').map((name) => name.trim());
  const unknown = chosen.filter((name) => !faultNames.includes(name));
  if (unknown.length > 0) throw new InvalidArgumentError(`no such fault: ${unknown.join()}`);
  return chosen;
}
