// Tests run on the sources of every workspace package (the "@meshforge/source" export condition), so no build is needed.
// Not under `module`, as bundlers take it: Node itself loads the dependencies, and cannot load what only bundlers read.
const conditions = ['@meshforge/source', 'node', 'development|production'];

export default {
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Integration tests start real servers and real processes on machines that may be slow and shared.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
  },
};
