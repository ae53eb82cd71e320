/** What a simulation of the mesh needs beside the public API: an agent and a client on any clock and connection. */
export { Mesh } from './client/mesh.ts';
export type { Clock } from './clock.ts';
export { startAgentOn, type AgentPorts, type RunningAgent } from './start-agent.ts';
