// Loaded into each agent's process before the agent: however the process that started it ends, the agent drains and ends.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
