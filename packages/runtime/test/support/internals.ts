/** Parts of the runtime, and of its own tests, that simulations in other packages are made of. */
export { type Command, decide } from '../../src/core/decide.ts';
export { type Entity, endLease, NO_ENTITY } from '../../src/core/entity.ts';
export { refusal, success } from '../../src/core/outcome.ts';
export { findCommand } from '../../src/core/recent.ts';
export { StoredHeldCommands } from '../../src/nats/held-commands.ts';
export { type Attempt, prepareCommit } from '../../src/store/attempt.ts';
export { Turns } from '../../src/store/turns.ts';
export { SimulatedTime } from './simulated-time.ts';
