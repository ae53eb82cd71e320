import { defineConfig } from 'vitest/config';

// Two cores: files that start servers and clusters run one beside another, never more.
export default defineConfig({
  test: { projects: ['packages/*', 'apps/*', 'tooling/*/vitest.config.mjs'], maxWorkers: 2 },
});
