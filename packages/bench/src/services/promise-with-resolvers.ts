/** Restate's SDK calls `Promise.withResolvers`, which Node.js has since version 22; this gives it to version 20. */
interface Resolvers {
  readonly promise: Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

function withResolvers(): Resolvers {
  const settle: Partial<Record<'resolve' | 'reject', (value: unknown) => void>> = {};
  const promise = new Promise<unknown>((resolve, reject) => Object.assign(settle, { resolve, reject }));
  return { promise, ...settle } as Resolvers;
}

if (!('withResolvers' in Promise)) Object.assign(Promise, { withResolvers });
