// Whether what an image would hold starts, answers and stops as it should.
//   node run-image.js <app> <its folder> <directory for the log>
import { join } from 'node:path';
import { AgentProcess } from './agent-process.ts';
import { AGENTS, firstToDie, untilReady } from './agents.ts';
import { PrivateMesh } from './private-mesh.ts';

const readyTimeoutMs = 30_000;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const [app, directory = '.', logDirectory = '.'] = process.argv.slice(2);
const agent = AGENTS.find((each) => each.app === app);
if (agent === undefined) throw new Error(`no agent ${app}: expected ${AGENTS.map((each) => each.app).join(' or ')}`);
const { name } = agent;
const mesh = await PrivateMesh.start(say);
const failures: string[] = [];
try {
  const env = { ...mesh.env, NODE_ENV: 'production' };
  const agents = mesh.run([
    new AgentProcess({ name, directory, env, logFile: join(logDirectory, `${name}-image.log`) }),
  ]);
  await Promise.race([untilReady(mesh.connection, name, readyTimeoutMs), firstToDie(agents)]);
  say(`the agent ${name} of the image answers`);
} catch (error) {
  failures.push(error instanceof Error ? error.message : String(error));
}
failures.push(...(await mesh.stop()));
for (const failure of failures) say(`✗ ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;
