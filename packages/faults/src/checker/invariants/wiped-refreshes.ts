/**
 * I2: a refresh that the expiry of the lease before it has taken out was never acknowledged.
 *
 * The server writes an expiry without a look at what stands there. What cannot be kept from happening (decision 11) is
 * counted: the event of such a refresh has gone out, and its version is given out again.
 */
import type { Invariant } from '../invariant.ts';
import { nameOf, type Message } from '../records.ts';

export const wipedRefreshes: Invariant = {
  name: 'I2',
  create: ({ breach, limit, step }) => {
    const expiries: { expiry: Message; refresh: Message }[] = [];
    return {
      onLogged(message) {
        if (message.wiped !== undefined) expiries.push({ expiry: message, refresh: message.wiped });
      },

      finish() {
        for (const { expiry, refresh } of expiries) {
          step();
          const { command, entity, entry } = refresh;
          const told = command?.told.find(({ answer }) => answer?.kind === 'committed' || answer?.kind === 'replayed');
          if (told === undefined) {
            limit(
              'a refresh that was never acknowledged was announced, and taken out by the end of the lease before it',
            );
            continue;
          }
          const what = `${told.commandId} was told that it is version ${entry.version} of ${nameOf(entity)}`;
          breach(`${what}, which the expiry of version ${expiry.entry.version} took out`, [entry, told, expiry.entry]);
        }
      },
    };
  },
};
