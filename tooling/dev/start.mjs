// npm start: the whole mesh on this machine, from a fresh clone, with nothing but Node and npm.
// Until the dependencies are there this file and lib/ use Node's built-ins only.
import { fileURLToPath } from 'node:url';
import { Stopped } from './lib/command.mjs';
import { install, isInstalled } from './lib/install.mjs';
import { onStop } from './lib/interruption.mjs';
import { narrate } from './lib/narrate.mjs';
import { requireNode } from './lib/node-version.mjs';
import { pnpm } from './lib/pnpm.mjs';

const help = `npm start: a NATS server, the agents inventory and sys_lock_manager, a short story, the smoke checks, then every
event as it happens.

  npm start                                     server on 127.0.0.1:4222 (or a free port), data in .meshforge/
  npm start -- --verbose                        with every check, and every command and event of the checks
  NATS_URL=nats://host:4222 npm start           the agents on a server that runs already (2.14 or newer)
  MESHFORGE_NATS_SERVER=/path/to/nats-server    which server to run; without it one is found or fetched
  LOG_LEVEL=debug                               what the agents write to .meshforge/logs/
  NATS_CREDS, NATS_NKEY_SEED_FILE, NATS_TLS_CA  how to log in, with NATS_URL

Ctrl-C stops all of it. The data in .meshforge/ stays for the next start; \`rm -r .meshforge\` forgets it.

With NATS_URL it leaves nothing of its own on that server: at the end it removes the streams and consumers that it made,
with all that is in them (unless it is ended by SIGKILL, or other processes use them by then). Where a mesh is already, its
agents join those there, and it shows no story and makes no checks: what they commit could not be taken out again.

Exit codes: 0 stopped, 1 it could not start, or the server or an agent ended by itself, 2 an option that it does not know.`;

const root = fileURLToPath(new URL('../../', import.meta.url));
const options = ['--verbose', '--help', '-h'];

/**
 * @param {AbortSignal} signal
 * @param {boolean} verbose
 */
async function start(signal, verbose) {
  const narrator = narrate({ verbose });
  narrator.say(`MeshForge on Node ${process.versions.node}`);
  if (!isInstalled(root)) {
    const hint = 'Installing needs a package registry that npm can reach: see `npm config get registry`.';
    const installing = () => mustWork(install(root, { signal, quiet: true }), hint);
    await narrator.step('installing the dependencies', installing, () => 'the dependencies are installed');
  }
  const build = ['exec', 'turbo', 'build', '--filter=@meshforge/dev...'];
  const building = () => mustWork(pnpm(root, build, { signal, quiet: true }), 'Mend that, then try again.');
  await narrator.step('building', building, () => 'everything is built');
  const { startMesh } = await import(new URL('dist/start-mesh.js', import.meta.url).href);
  await startMesh({ root, narrator, signal });
}

/**
 * @param {ReturnType<typeof pnpm>} work
 * @param {string} hint
 */
async function mustWork(work, hint) {
  const { code, output } = await work;
  if (code === 0) return;
  const tail = output.trimEnd().split('\n').slice(-40);
  throw new Error(`it ended with code ${code}. The end of its output:\n\n${tail.join('\n')}\n\n${hint}`);
}

/** A message for what people can mend; a stack for what only we can. @param {unknown} error */
function describe(error) {
  const ours = error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
  return error instanceof Error ? (ours ? error.stack : error.message) : String(error);
}

requireNode(root);
const args = process.argv.slice(2);
const unknown = args.filter((each) => !options.includes(each));
if (unknown.length > 0) {
  console.error(`npm start: unknown option ${unknown.join(' ')}. See \`npm start -- --help\`.`);
  process.exitCode = 2;
} else if (args.includes('--help') || args.includes('-h')) {
  console.log(help);
} else {
  process.chdir(root);
  // npm keeps `npm start --verbose` to itself, as its own log level.
  const verbose = args.includes('--verbose') || process.env['npm_config_loglevel'] === 'verbose';
  try {
    await start(onStop({ impatientCode: 1 }), verbose);
  } catch (error) {
    if (error instanceof Stopped) {
      console.log('stopped');
    } else {
      console.error(`\nnpm start: ${describe(error)}`);
      process.exitCode = 1;
    }
  }
  // Whatever was still under way when the signal came, such as fetching a server, ends here.
  process.exit();
}
