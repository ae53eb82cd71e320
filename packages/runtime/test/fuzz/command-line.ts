import { parseArgs } from 'node:util';
import { TARGETS } from './targets.ts';

export interface CommandLine {
  /** Of all targets together. */
  inputs: number;
  seed: number;
  json: boolean;
  /** Names of targets. */
  only: readonly string[];
}

/** The parsed command line, or what to say when that is all there is to do (help, wrong usage). */
export type Parsed =
  | { kind: 'run'; options: CommandLine }
  | { kind: 'help'; text: string }
  | { kind: 'wrong'; text: string };

const DEFAULT_INPUTS = 1_000_000;
const MAX_SEED = 2 ** 31;

const help = `Usage: pnpm fuzz [options]

Feeds everything that reads bytes from the wire with mutated messages: nothing may throw, hang, or let through what it must not.

Options:
  --inputs <number>  of all targets together (default: ${DEFAULT_INPUTS})
  --seed <number>    the same seed draws the same chance (default: random)
  --only <target>    only this one; may be given several times
  --json             the result as one JSON object
  --help             this text

Targets: ${TARGETS.map(({ name }) => name).join(', ')}.

Exit codes:
  0  nothing new was found
  1  something was: what is wrong, and the smallest input that shows it
  2  nothing could be tried: wrong usage`;

export function parseCommandLine(args: readonly string[]): Parsed {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        inputs: { type: 'string', default: String(DEFAULT_INPUTS) },
        seed: { type: 'string', default: String(Math.floor(Math.random() * MAX_SEED)) },
        only: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { kind: 'help', text: help };
    const { json, only } = values;
    const unknown = only.find((name) => !TARGETS.some((target) => target.name === name));
    if (unknown !== undefined) return { kind: 'wrong', text: `there is no target ${unknown}: see --help` };
    const inputs = integer('inputs', values.inputs, 1, 1_000_000_000);
    return { kind: 'run', options: { inputs, seed: integer('seed', values.seed, 0, MAX_SEED), json, only } };
  } catch (error) {
    return { kind: 'wrong', text: `${(error as Error).message}: see --help` };
  }
}

function integer(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`--${option} is ${text}, expected an integer from ${least} to ${most}`);
}
