import shared from '@meshforge/vitest-config';
import { defineProject } from 'vitest/config';

// Most of the time is waited for servers: two files run side by side, as they do at the root.
export default defineProject({ ...shared, test: { ...shared.test, maxWorkers: 2 } });
