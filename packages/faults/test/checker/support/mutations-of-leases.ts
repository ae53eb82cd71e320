/** I7: what can be wrong with leases. */
import type { Logged } from '../../../src/history.ts';
import type { Mutation } from './mutations.ts';
import { tokenOf, type View } from './view.ts';

export const leaseMutations: readonly Mutation[] = [
  {
    name: 'a token goes back',
    invariant: 'I7',
    spoil(view, pick) {
      const entry = pick(view.grants.filter((one) => tokensBefore(view, one).length > 0));
      const [earlier] = entry === undefined ? [] : tokensBefore(view, entry).toReversed();
      if (entry === undefined || earlier === undefined) return undefined;
      const stale: Logged = { ...entry, state: { ...entry.state, fencing_token: Number(tokenOf(earlier)) - 1 } };
      return { entries: view.replace(entry, stale), culprits: [stale] };
    },
  },
  {
    name: 'two hold a lock, since the first never expired',
    invariant: 'I7',
    spoil: (view, pick) => withoutTheEnd(view, pick, 'expired'),
  },
  {
    name: 'two hold a lock, since the first never released it',
    invariant: 'I7',
    spoil: (view, pick) => withoutTheEnd(view, pick, 'released'),
  },
  {
    name: 'a lease expires early',
    invariant: 'I7',
    spoil(view, pick) {
      const entry = pick(view.logged.filter(({ kind }) => kind === 'expiry'));
      if (entry === undefined) return undefined;
      const early: Logged = { ...entry, time: new Date(Date.parse(endOf(entry)) - 1).toISOString() };
      return { entries: view.replace(entry, early), culprits: [early] };
    },
  },
  {
    name: 'an expiry repeats another lease than the one it ends',
    invariant: 'I1',
    spoil(view, pick) {
      const expiry = pick(
        view.logged.filter((entry) => {
          const before = view.messagesOf(entry)[view.messagesOf(entry).indexOf(entry) - 1];
          return entry.kind === 'expiry' && before?.version === entry.version;
        }),
      );
      if (expiry === undefined) return undefined;
      const odd: Logged = { ...expiry, state: { ...expiry.state, owner_id: 'nobody' } };
      return { entries: view.replace(expiry, odd), culprits: [odd] };
    },
  },
  {
    name: 'a lease that is over is refreshed',
    invariant: 'I1',
    spoil(view, pick) {
      const entry = pick(
        view.grants.filter((one) => {
          const messages = view.messagesOf(one);
          const before = messages[messages.indexOf(one) - 1];
          return before?.kind === 'expiry' && before.version === one.version - 1;
        }),
      );
      if (entry === undefined) return undefined;
      const messages = view.messagesOf(entry);
      const before = messages[messages.indexOf(entry) - 1];
      const revived: Logged = { ...entry, state: { ...entry.state, fencing_token: tokenOf(before as Logged) } };
      return { entries: view.replace(entry, revived), culprits: [before as Logged, revived] };
    },
  },
];

function endOf({ state }: Logged): string {
  return String(state?.['expires_at']);
}

/** Messages before one that tell of a lower token, but of no lower one than 2. */
function tokensBefore(view: View, entry: Logged): Logged[] {
  const messages = view.messagesOf(entry);
  return messages
    .slice(0, messages.indexOf(entry))
    .filter((one) => Number(tokenOf(one)) > 1 && Number(tokenOf(one)) < Number(tokenOf(entry)));
}

/** A lease and the next grant, with whatever came between them gone from the log. */
function withoutTheEnd(
  view: View,
  pick: <T>(candidates: readonly T[]) => T | undefined,
  event: string,
): ReturnType<Mutation['spoil']> {
  const found = pick(
    view.grants.flatMap((grant) => {
      const messages = view.messagesOf(grant);
      const [lease, end] = messages.slice(Math.max(0, messages.indexOf(grant) - 2), messages.indexOf(grant));
      return lease?.event === 'acquired' && end?.event === event ? [{ lease, end, grant }] : [];
    }),
  );
  return found && { entries: view.without(found.end), culprits: [found.lease, found.grant] };
}
