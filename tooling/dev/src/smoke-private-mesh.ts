// The smoke checks against a mesh of their own: one server, two processes of each agent.
//   node smoke-private-mesh.js <directory for logs> <file for the count>
import { writeFile } from 'node:fs/promises';
import { resultLine, runSmoke } from '@meshforge/smoke';
import { AGENTS, firstToDie, startAgents, untilReady } from './agents.ts';
import { PrivateMesh } from './private-mesh.ts';

const replicas = 2;
const readyTimeoutMs = 60_000;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const [logDirectory = '.', reportFile = 'smoke.json'] = process.argv.slice(2);
const mesh = await PrivateMesh.start(say);
const failures: string[] = [];
let count = { passed: 0, failed: 0 };
try {
  const agents = mesh.run(startAgents({ env: mesh.env, logDirectory, replicas, onLine: (_agent, line) => say(line) }));
  const died = firstToDie(agents);
  died.catch(() => undefined);
  for (const { name } of AGENTS) {
    await Promise.race([untilReady(mesh.connection, name, readyTimeoutMs, replicas), died]);
  }
  const onResult = (result: Parameters<typeof resultLine>[0]): void => say(resultLine(result));
  const connection = { servers: [mesh.url] };
  const { passed, failed } = await Promise.race([runSmoke({ connection, onResult }), died]);
  count = { passed, failed };
} catch (error) {
  failures.push(error instanceof Error ? error.message : String(error));
}
failures.push(...(await mesh.stop()));
for (const failure of failures) say(`✗ ${failure}`);
await writeFile(reportFile, JSON.stringify({ passed: count.passed, failed: count.failed + failures.length }));
process.exitCode = count.failed + failures.length === 0 ? 0 : 1;
