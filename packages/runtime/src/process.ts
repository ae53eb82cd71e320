export { runAgent } from './process/run-agent.ts';
