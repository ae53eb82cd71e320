// Tests run on the sources of every workspace package (the "@meshforge/source" export condition), so no build is needed.
// Not under `module`, as bundlers take it: Node itself loads the dependencies, and cannot load what only bundlers read.
const conditions = ['@meshforge/source', 'node', 'development|production'];

/** By `MESHFORGE_TESTS`; unset, every test: a path on the command line always finds its file. */
function files() {
  const every = 'test/**/*.test.ts';
  const long = 'test/**/*.long.test.ts';
  const wanted = process.env['MESHFORGE_TESTS'] ?? '';
  if (wanted === '') return { include: [every] };
  if (wanted === 'quick') return { include: [every], exclude: [long] };
  if (wanted === 'long') return { include: [long] };
  throw new Error(`MESHFORGE_TESTS is ${wanted}: expected quick, long, or nothing for every test`);
}

export default {
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    ...files(),
    pool: 'forks',
    // Integration tests start real servers and real processes on machines that may be slow and shared.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
  },
};
