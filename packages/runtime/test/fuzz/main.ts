// pnpm fuzz: feeds everything that reads bytes from the wire, one target after another.
import { parseCommandLine, type CommandLine } from './command-line.ts';
import type { Finding, FuzzResult } from './fuzzer.ts';
import { isKnown } from './known-findings.ts';
import { runFuzz } from './run-fuzz.ts';
import { TARGETS } from './targets.ts';

const TELL_EVERY_MS = 3_000;
/** Bytes of an input that a line shows. */
const SHOWN_BYTES = 300;

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => void process.stderr.write(`${line}\n`);

async function main({ inputs, seed, only, json }: CommandLine): Promise<number> {
  const chosen = TARGETS.filter(({ name }) => only.length === 0 || only.includes(name));
  const targets = chosen.map(({ name }, index) => ({
    target: name,
    inputs: Math.floor(inputs / chosen.length) + (index < inputs % chosen.length ? 1 : 0),
  }));
  const results: FuzzResult[] = [];
  const started = performance.now();
  let done = 0;
  let told = started;
  await runFuzz({
    targets,
    seed,
    onProgress(target, soFar) {
      if (performance.now() - told < TELL_EVERY_MS) return;
      told = performance.now();
      note(`${target}: ${done + soFar} of ${inputs} inputs (${Math.round((told - started) / 1_000)} s so far)`);
    },
    onResult(result) {
      results.push(result);
      done += result.inputs;
      if (!json) tell(result);
    },
  });
  const findings = results.flatMap((result) => result.findings);
  const fresh = findings.filter((finding) => !isKnown(finding));
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  if (json) out(JSON.stringify({ inputs: done, seed, seconds, targets: results.map(plain) }));
  else {
    const known = findings.length - fresh.length;
    out(`${done} inputs, seed ${seed}, ${seconds} s: ${fresh.length} new findings, ${known} known`);
  }
  return fresh.length === 0 ? 0 : 1;
}

function tell({ target, inputs, corpus, covered, findings }: FuzzResult): void {
  out(`${target}: ${inputs} inputs, a corpus of ${corpus}, ${covered} characters of our sources executed`);
  for (const finding of findings) {
    out(`  ${isKnown(finding) ? 'known: ' : ''}${finding.what}`);
    out(`    input: ${shown(finding)}`);
  }
}

function shown({ input }: Finding): string {
  const begin = Buffer.from(input.subarray(0, SHOWN_BYTES));
  const rest = input.length > begin.length ? ` … ${input.length} bytes` : '';
  return `${JSON.stringify(begin.toString('latin1'))}, base64 ${begin.toString('base64')}${rest}`;
}

function plain({ findings, ...result }: FuzzResult): object {
  return {
    ...result,
    findings: findings.map((finding) => ({
      what: finding.what,
      known: isKnown(finding),
      input_base64: Buffer.from(finding.input).toString('base64'),
    })),
  };
}

const parsed = parseCommandLine(process.argv.slice(2));
if (parsed.kind === 'run') process.exitCode = await main(parsed.options);
else if (parsed.kind === 'help') out(parsed.text);
else {
  note(parsed.text);
  process.exitCode = 2;
}
