import type { Msg, NatsConnection, Subscription, SubscriptionOptions } from '@nats-io/nats-core';
import { answerable } from './reply.ts';

type Callback = NonNullable<SubscriptionOptions['callback']>;

/**
 * The connection as the micro services module sees it: subscriptions below the wildcards are not made one by one, but
 * served by one subscription for each wildcard. So an action nobody defined is answered too, and each command still
 * arrives once: with one more queue subscription beside the others, the server would spread every action's commands
 * over both.
 *
 * Discovery requests pass only with an inbox to answer to; see {@link answerable}.
 */
export function dispatchingConnection(
  connection: NatsConnection,
  wildcards: readonly { subject: string; onUnknown: (message: Msg) => void }[],
  queue: string,
  inboxPrefix: string,
): NatsConnection {
  const callbacks = new Map<string, Callback>();
  const shared = new Map<string, Subscription>();
  for (const { subject: wildcard, onUnknown } of wildcards) {
    const subscription = connection.subscribe(wildcard, {
      queue,
      callback: (error, message) => {
        const callback = callbacks.get(message?.subject);
        if (callback !== undefined) void callback(error, message);
        else if (error === null) onUnknown(message);
      },
    });
    shared.set(wildcard.slice(0, -1), subscription);
  }

  const subscribe = (subject: string, options: SubscriptionOptions = {}): Subscription => {
    const { callback } = options;
    const home = shared.get(subject.slice(0, subject.lastIndexOf('.') + 1));
    if (home !== undefined && callback !== undefined) {
      callbacks.set(subject, callback);
      return home;
    }
    if (callback === undefined) return connection.subscribe(subject, options);
    return connection.subscribe(subject, {
      ...options,
      callback: (error, message) => {
        if (error !== null || answerable(message, inboxPrefix) === 'yes') void callback(error, message);
      },
    });
  };

  return new Proxy(connection, {
    get(target, property) {
      if (property === 'subscribe') return subscribe;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
