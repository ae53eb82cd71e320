// Threads do not inherit the loader that reads TypeScript: this one gets its own.
import { register } from 'tsx/esm/api';

register();
await import('./worker.ts');
