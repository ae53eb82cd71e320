import { object, TerminalError, type ObjectContext } from '@restatedev/restate-sdk';

interface State {
  readonly version: number;
  readonly name: string;
  readonly quantity: number;
}

/** A virtual object: Restate lets one invocation at a time work on each, and keeps its state. */
export const item = object({
  name: 'item',
  handlers: {
    create: (context: ObjectContext): Promise<number> => {
      context.set<State>('state', { version: 1, name: 'bolt', quantity: 1_000 });
      return Promise.resolve(1);
    },
    update: async (context: ObjectContext, expectedVersion: number): Promise<number> => {
      const before = await context.get<State>('state');
      if (before?.version !== expectedVersion) {
        throw new TerminalError(`not at version ${expectedVersion}`, { errorCode: 409 });
      }
      const version = before.version + 1;
      context.set<State>('state', { ...before, version, quantity: before.quantity + 1 });
      return version;
    },
  },
});

/** For clients, which know an object by its name and the type of its handlers. */
export type Item = typeof item;
