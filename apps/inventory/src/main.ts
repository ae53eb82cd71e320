import { runAgent } from '@meshforge/runtime/process';
import { expireReservations } from './expiry.ts';
import { inventory } from './index.ts';

await runAgent(inventory, { reactions: [expireReservations] });
