import { runAgent } from '@meshforge/runtime/process';
import { inventory } from './index.ts';

await runAgent(inventory);
