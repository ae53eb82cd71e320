/**
 * Each adjustment of a source leads to exactly one of its mirror, in the order of the source's versions: by as much, as the
 * rules have it, and under the source's command as its cause.
 */
import type { Sent } from '../../history.ts';
import { isReaction, mirrorOf } from '../../reactor/mirroring.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Message } from '../records.ts';
import { differenceTo, NOTHING, ruling } from '../ruling.ts';

export const reactions: Invariant = {
  name: 'reactions',
  create: ({ breach, ledger, step }) => {
    /** Adjustments that no mirror has followed, by mirror and command, oldest first. */
    const open = new Map<string, Map<string, Message>>();
    /** Of those, the ones whose commands may be lost: an operator took them out of the queue, or out of the log after they committed. */
    const doubtful = new Set<Message>();

    const follow = (message: Message, source: Message): void => {
      const { before, entity, entry, timeMs } = message;
      const asked: Sent = {
        type: 'sent',
        atMs: 0,
        client: 'the reaction',
        agent: entry.agent,
        action: 'adjust',
        commandId: entry.commandId,
        entityId: entry.entityId,
        data: source.entry.data ?? {},
      };
      const wrong = differenceTo(ruling(entity.agent.agent, before ?? NOTHING, asked, timeMs), message);
      if (wrong === undefined) return;
      const what = `version ${entry.version} of ${nameOf(entity)} follows version ${source.entry.version} of its source, and`;
      breach(`${what} ${wrong}`, [source.entry, before?.entry, entry]);
    };

    return {
      onTaken({ agent, what }) {
        if (agent !== 'inventory' || what === 'entity') return;
        if (what === 'tail') open.clear();
        for (const waiting of open.values()) for (const message of waiting.values()) doubtful.add(message);
      },

      onLogged(message, isAgain) {
        const { entity, entry } = message;
        if (isAgain) doubtful.add(message);
        const mirror = mirrorOf(entry.entityId);
        if (mirror !== undefined && entry.event === 'adjusted') {
          const waiting = open.get(mirror) ?? new Map<string, Message>();
          // Executed once more after a restoration, it comes behind the others.
          waiting.delete(entry.commandId);
          open.set(mirror, waiting.set(entry.commandId, message));
        }
        if (!isReaction(entry)) return;
        step();
        const waiting = open.get(entry.entityId) ?? new Map<string, Message>();
        let next: Message | undefined;
        for (const each of waiting.values()) if (!doubtful.has(each) && (next = each)) break;
        const source = waiting.get(entry.causedBy ?? '');
        const is = `version ${entry.version} of ${nameOf(entity)} follows command ${entry.causedBy}`;
        if (source === undefined) {
          // Of a source that has lost it.
          if (ledger.command(entry.causedBy ?? '')?.isOld === true) return;
          const expected = next === undefined ? 'nothing' : next.entry.commandId;
          breach(`${is}, expected ${expected}: it is none of its source, or was followed before`, [next?.entry, entry]);
          return;
        }
        if (source !== next && !doubtful.has(source))
          breach(`${is}, expected ${next?.entry.commandId}`, [next?.entry, source.entry, entry]);
        waiting.delete(source.entry.commandId);
        follow(message, source);
      },

      finish() {
        for (const [mirror, waiting] of open) {
          for (const message of waiting.values()) {
            const { entity, entry } = message;
            if (doubtful.has(message)) continue;
            breach(`version ${entry.version} of ${nameOf(entity)} led to nothing on ${mirror}`, [entry]);
          }
        }
      },
    };
  },
};
