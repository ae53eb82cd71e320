/**
 * I1: each state, and what rides with it, is what the agent's own rules make of the one before and of the command, which
 * may be the agent's own; an expiry repeats its lease.
 *
 * A rule that asks for the time is run at the time that its result names; that time has to lie between the two messages,
 * as well as the agent could know the server's clock.
 */
import type { Logged, Sent } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { decisionTime, differenceTo, isOvertaken } from '../overtaken.ts';
import { nameOf, type Message } from '../records.ts';
import { NOTHING, ruling } from '../ruling.ts';
import { sameJson } from '../same-json.ts';

/** By how much an agent may err about the server's clock: half a round trip, on a machine that has been held up. */
const CLOCK_ERROR_MS = 2_000;

export const statesFollow: Invariant = {
  name: 'I1',
  create: ({ breach, limit }) => {
    const judge = (message: Message, sent: Sent): void => {
      const { before, entity, entry, missing } = message;
      const bump = entry.aside === undefined ? 1 : 0;
      if (missing > 0 || entry.version !== (before?.version ?? 0) + bump) return;
      const asked = sent.atMs === 0 ? undefined : sent;
      const history = [before?.entry, asked, entry];
      const decidedAt = decisionTime(message, sent);
      const differenceAt = (now: number): string | undefined =>
        differenceTo(ruling(entity.agent.agent, before ?? NOTHING, sent, now), message);
      const wrong = differenceAt(decidedAt);
      if (wrong !== undefined && turningPointsBefore(message).some((now) => differenceAt(now) === undefined)) return;
      if (wrong !== undefined && isOvertaken(message, sent)) {
        // Of a change of the queue it is told elsewhere.
        if (entry.aside === undefined) limit('a lease ended while the command of its holder was on its way');
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
    };

    return {
      onLogged(message) {
        const { before, entity, entry } = message;
        const own = entity.agent.ownCommand(entry, before?.notes ?? '');
        if (own !== undefined) judge(message, own);
        const lease = entry.byServer ? leaseBefore(message) : undefined;
        const isStateOnly = entry.overdue === true || lease?.aside !== undefined;
        if (lease === undefined || sameJson(content(lease, isStateOnly), content(entry, isStateOnly))) return;
        breach(`the expiry of ${nameOf(entity)} at version ${entry.version} is not that of the lease`, [lease, entry]);
      },

      onPaired(message, { sent }) {
        judge(message, sent);
      },
    };
  },
};

/** When a change of the queue may have been decided, of which nothing tells more than that it came after the one before. */
function turningPointsBefore({ before, entity, entry, timeMs }: Message): number[] {
  if (entry.aside === undefined || before === undefined) return [];
  const points = entity.agent.turningPoints(before.state, before.notes);
  return points.filter((ms) => ms >= before.timeMs - CLOCK_ERROR_MS && ms <= timeMs + CLOCK_ERROR_MS);
}

/** The commit of the version that an expiry is of; where the log has lost it, what changed nothing but the notes since. */
function leaseBefore({ before, entry: expiry }: Message): Logged | undefined {
  let message = before;
  for (;;) {
    if (message?.entry.version !== expiry.version) return undefined;
    const earlier = message.before;
    if (message.entry.aside === undefined || earlier?.entry.version !== expiry.version) return message.entry;
    message = earlier;
  }
}

/** What an expiry repeats of its lease; one that an agent wrote, or of a lease that the log has lost, only the state. */
function content({ commandId, data, state }: Logged, isStateOnly: boolean): unknown {
  return isStateOnly ? state : { commandId, data, state };
}
