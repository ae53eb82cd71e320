// What start.mjs does once everything is installed and built, for a checkout that a test gives.
import { onStop } from '../../lib/interruption.mjs';
import { narrate } from '../../lib/narrate.mjs';

const [root, ...args] = process.argv.slice(2);
const narrator = narrate({ verbose: args.includes('--verbose') });
const built = new URL('../../dist/start-mesh.js', import.meta.url);
const { startMesh } = await import(built.href);
try {
  await startMesh({ root, narrator, signal: onStop({ impatientCode: 1 }) });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();
