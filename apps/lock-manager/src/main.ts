import { runAgent } from '@meshforge/runtime/process';
import { lockManager } from './index.ts';

await runAgent(lockManager);
