/**
 * I1: each state is what the agent's own rules make of the state before and the command; an expiry repeats its lease.
 *
 * A rule that asks for the time is run at the time that its result names; that time has to lie between the two messages,
 * as well as the agent could know the server's clock.
 */
import type { Invariant } from '../invariant.ts';
import { decisionTime, differenceTo, isOvertaken } from '../overtaken.ts';
import { nameOf, type Message } from '../records.ts';
import { ruling } from '../ruling.ts';
import { sameJson } from '../same-json.ts';

/** By how much an agent may err about the server's clock: half a round trip, on a machine that has been held up. */
const CLOCK_ERROR_MS = 2_000;

export const statesFollow: Invariant = {
  name: 'I1',
  create: ({ breach, limit }) => ({
    onLogged({ before, entity, entry }) {
      if (!entry.byServer || before === undefined || before.entry.version !== entry.version) return;
      const lease = before.entry;
      if (sameJson(content(lease), content(entry))) return;
      breach(`the expiry of ${nameOf(entity)} at version ${entry.version} is not that of the lease`, [lease, entry]);
    },

    onPaired(message, { sent }) {
      const { before, entity, entry, missing } = message;
      if (missing > 0 || entry.version !== (before?.version ?? 0) + 1) return;
      const history = [before?.entry, sent, entry];
      const decidedAt = decisionTime(message, sent);
      const ruled = ruling(entity.agent.agent, before?.state ?? null, before?.version ?? 0, sent, decidedAt);
      const wrong = differenceTo(ruled, message);
      if (wrong !== undefined && isOvertaken(message, sent)) {
        limit('a lease ended while the command of its holder was on its way');
        return;
      }
      if (wrong !== undefined) {
        breach(`version ${entry.version} of ${nameOf(entity)} by ${sent.action} ${sent.commandId} ${wrong}`, history);
        return;
      }
      const earliest = (before?.timeMs ?? 0) - CLOCK_ERROR_MS;
      if (decidedAt < earliest || decidedAt > message.timeMs + CLOCK_ERROR_MS) {
        const at = new Date(decidedAt).toISOString();
        const after = before === undefined ? '' : `, after a commit at ${before.entry.time}`;
        breach(`${nameOf(entity)} has version ${entry.version} of ${at}, stored at ${entry.time}${after}`, history);
      }
    },
  }),
};

function content({ commandId, data, state }: Message['entry']): unknown {
  return { commandId, data, state };
}
