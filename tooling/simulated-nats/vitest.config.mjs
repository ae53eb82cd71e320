import shared from '@meshforge/vitest-config';
import { defineProject } from 'vitest/config';

export default defineProject(shared);
