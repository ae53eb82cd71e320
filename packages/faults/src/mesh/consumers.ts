import { REACTION } from '../reactor/mirroring.ts';

/** Of COMMANDS_<agent>: executes durable commands. */
export const EXECUTOR = 'executor';
/** Of ENTITIES_inventory: where the reaction of the harness stands. */
export const REACTION_CONSUMER = `react_${REACTION}`;
