// Sends one request to a mesh and prints the answer; `npm start` has to have run once, since it installs and builds.
import { existsSync } from 'node:fs';

const built = new URL('dist/ask.js', import.meta.url);
if (!existsSync(built)) {
  console.error('nothing is built yet: run `npm start` once, then this again');
  process.exit(1);
}
const { ask } = await import(built.href);
try {
  process.exitCode = await ask(process.argv.slice(2), console.log);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
