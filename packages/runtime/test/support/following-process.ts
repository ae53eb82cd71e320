// The second agent as a process, which follows the first, whoever of them starts first.
import { command, defineReaction } from '../../src/index.ts';
import { runAgent } from '../../src/process.ts';
import { agentOf, first, second } from './chain.ts';

const following = defineReaction(first, { name: process.env['REACTION'] ?? 'following' }, ({ data, entityId }) =>
  command(second, 'add', { entityId, data: { by: Number(data?.['by']) } }),
);

await runAgent(agentOf(second), { reactions: [following] });
