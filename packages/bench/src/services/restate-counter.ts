import { handlers, object, type ObjectContext, type ObjectSharedContext } from '@restatedev/restate-sdk';

const { shared } = handlers.object;

/** A virtual object that counts the jobs it was sent. */
export const counter = object({
  name: 'counter',
  handlers: {
    add: async (context: ObjectContext, delta: number): Promise<void> => {
      context.set('count', ((await context.get<number>('count')) ?? 0) + delta);
    },
    count: shared(async (context: ObjectSharedContext): Promise<number> => (await context.get<number>('count')) ?? 0),
  },
});

/** For clients, which know an object by its name and the type of its handlers. */
export type Counter = typeof counter;
