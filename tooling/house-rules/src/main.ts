// pnpm rules: fails when a file breaks a house rule, and says what to write in its place.
import { fileURLToPath } from 'node:url';
import { BANS } from './bans.ts';
import { checkBans } from './check-bans.ts';
import { checkDirections } from './check-directions.ts';
import { DIRECTIONS } from './directions.ts';
import { readTree } from './tree.ts';

const files = readTree(fileURLToPath(new URL('../../../', import.meta.url)));
const violations = [...checkDirections(DIRECTIONS, files), ...checkBans(BANS, files)];
for (const { rule, path, line, found, instead } of violations) {
  process.stdout.write(`${path}:${line}: ${found}\n    ${rule}: ${instead}\n`);
}
const rules = BANS.length + DIRECTIONS.length;
const verdict = violations.length === 0 ? 'all hold' : `broken in ${violations.length} places`;
process.stdout.write(`${rules} house rules on ${files.length} files: ${verdict}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;
