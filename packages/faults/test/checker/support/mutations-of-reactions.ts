/** What must not become of reactions. */
import { isReaction } from '../../../src/reactor/mirroring.ts';
import type { Logged } from '../../../src/history.ts';
import type { Mutation } from './mutations.ts';
import { simulateQueue } from './simulated-queue.ts';
import type { View } from './view.ts';

export const reactionMutations: readonly Mutation[] = [
  {
    name: 'an event leads to nothing',
    invariant: 'reactions',
    simulate: simulateQueue,
    spoil(view, pick) {
      const lost = pick(view.logged.filter(isReaction));
      return lost && { entries: view.without(lost), culprits: [causeOf(view, lost)] };
    },
  },
  {
    name: 'an event leads to two commits',
    invariant: 'reactions',
    simulate: simulateQueue,
    spoil(view, pick) {
      const once = pick(view.logged.filter(isReaction));
      if (once === undefined) return undefined;
      const sequence = Math.max(...view.logged.map((entry) => entry.sequence)) + 1;
      const version = Math.max(...view.messagesOf(once).map((entry) => entry.version)) + 1;
      const twice: Logged = { ...once, sequence, version };
      return { entries: [...view.entries, twice], culprits: [twice] };
    },
  },
  {
    name: 'two events are followed in the other order',
    invariant: 'reactions',
    simulate: simulateQueue,
    spoil(view, pick) {
      const found = pick(
        view.logged.filter(isReaction).flatMap((first) => {
          const after = view.messagesOf(first).filter((entry) => isReaction(entry) && entry.sequence > first.sequence);
          const second = after[0];
          return second === undefined || causeOf(view, second).sequence > first.sequence ? [] : [{ first, second }];
        }),
      );
      if (found === undefined) return undefined;
      const hasty = { ...found.first, causedBy: String(found.second.causedBy) };
      const late = { ...found.second, causedBy: String(found.first.causedBy) };
      const entries = view.entries.map((entry) => {
        if (entry.type !== 'logged') return entry;
        if (entry.sequence === hasty.sequence) return hasty;
        return entry.sequence === late.sequence ? late : entry;
      });
      return { entries, culprits: [hasty, causeOf(view, hasty)] };
    },
  },
  {
    name: 'a mirror takes more than its source',
    invariant: 'reactions',
    simulate: simulateQueue,
    spoil(view, pick) {
      const commit = pick(view.logged.filter(isReaction));
      if (commit === undefined) return undefined;
      const { state } = commit;
      const wrong: Logged = { ...commit, state: { ...state, quantity: Number(state?.['quantity']) + 1 } };
      return { entries: view.replace(commit, wrong), culprits: [wrong, causeOf(view, commit)] };
    },
  },
  {
    name: 'a reaction follows what never was',
    invariant: 'reactions',
    simulate: simulateQueue,
    spoil(view, pick) {
      const commit = pick(view.logged.filter(isReaction));
      if (commit === undefined) return undefined;
      const wrong: Logged = { ...commit, causedBy: 'nobody' };
      return { entries: view.replace(commit, wrong), culprits: [wrong] };
    },
  },
];

function causeOf(view: View, { causedBy }: Logged): Logged {
  return view.commitOf(String(causedBy)) as Logged;
}
