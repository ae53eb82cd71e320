/**
 * I1: each state, and what rides with it, is what the agent's own rules make of the one before and of the command, which
 * may be the agent's own; an expiry repeats its lease. A durable command whose refusal is recorded is one that they refuse there.
 *
 * A rule that asks for the time is run at the time that its result names; that time has to lie between the two messages,
 * as well as the agent could know the server's clock.
 */
import type { Logged, Sent } from '../../history.ts';
import { lockOf } from '../agents.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Message } from '../records.ts';
import { decisionTime, differenceTo, isSaid, NOTHING, ruling, type Ruled } from '../ruling.ts';
import { sameJson } from '../same-json.ts';

/** By how much an agent may err about the server's clock: half a round trip, on a machine that has been held up. */
const CLOCK_ERROR_MS = 2_000;

export const statesFollow: Invariant = {
  name: 'I1',
  create: ({ breach, limit }) => {
    const judge = (message: Message, sent: Sent): void => {
      const { before, entity, entry, missing } = message;
      const bump = entry.kind === 'commit' ? 1 : 0;
      if (missing > 0 || entry.version !== (before?.version ?? 0) + bump) return;
      const asked = sent.atMs === 0 ? undefined : sent;
      const history = [before?.entry, asked, entry];
      const decidedAt = decisionTime(message, sent);
      const differenceAt = (now: number, from: Ruled = before ?? NOTHING): string | undefined =>
        differenceTo(ruling(entity.agent.agent, from, sent, now), message);
      const wrong = differenceAt(decidedAt);
      if (wrong !== undefined && turningPointsBefore(message).some((now) => differenceAt(now) === undefined)) return;
      const lease = leaseJustEnded(message);
      const moments = lease === undefined ? [] : [decidedAt, ...turningPointsBefore(message)];
      if (wrong !== undefined && moments.some((now) => differenceAt(now, lease) === undefined)) {
        // Of a change of the queue it is told elsewhere.
        if (bump > 0) limit('a lease ended while the command of its holder was on its way');
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

    const judgeRecord = ({ before, entity, entry, timeMs }: Message, sent: Sent): void => {
      const { kind, payload } = entry.refusal ?? { kind: 'rejected', payload: {} };
      const { code = kind } = payload;
      const at = before ?? NOTHING;
      const current = at.state === null ? 0 : at.version;
      const { expectedVersion: expected = current } = sent;
      const isTrue =
        kind === 'conflict'
          ? expected !== current && payload['current_version'] === current && payload['expected_version'] === expected
          : code === 'stale_token' || isSaid(payload, ruling(entity.agent.agent, at, sent, timeMs));
      if (isTrue) return;
      const what = `${sent.commandId} was refused at version ${current} of ${nameOf(entity)}`;
      breach(`${what}, which does not make it ${JSON.stringify(code)}`, [before?.entry, sent, entry]);
    };

    return {
      onLogged(message) {
        const { before, entity, entry } = message;
        const own = entity.agent.ownCommand(entry, before?.notes ?? '');
        if (own !== undefined) judge(message, own);
        const lease = entry.kind === 'expiry' ? leaseBefore(message) : undefined;
        const isStateOnly = lease?.kind !== 'commit';
        if (lease === undefined || sameJson(content(lease, isStateOnly), content(entry, isStateOnly))) return;
        breach(`the expiry of ${nameOf(entity)} at version ${entry.version} is not that of the lease`, [lease, entry]);
      },

      onPaired(message, { sent }) {
        if (message.entry.kind === 'record') judgeRecord(message, sent);
        else judge(message, sent);
      },
    };
  },
};

/**
 * The entity as it was before the expiry that came directly before a commit: the leader of a replicated stream does not hold a
 * commit against an expiry that is not stored yet.
 */
function leaseJustEnded({ before, entity }: Message): Ruled | undefined {
  const { entry, notes, version } = before ?? {};
  if (entry?.kind !== 'expiry' || before?.isVoid !== false || version === undefined) return undefined;
  return lockOf(entity.agent.token, entry.state) && { state: entry.state, version, notes: notes ?? '' };
}

/** When a change of the places may have been decided, of which nothing tells more than that it came after the one before. */
function turningPointsBefore({ before, entity, entry, timeMs }: Message): number[] {
  if (entry.kind === 'commit' || before === undefined) return [];
  const notes = `${before.notes} ${entry.notes ?? ''}`;
  const points = entity.agent.turningPoints(before.state, notes).flatMap((ms) => [ms - 1, ms]);
  return points.filter((ms) => ms >= before.timeMs - CLOCK_ERROR_MS && ms <= timeMs + CLOCK_ERROR_MS);
}

/** The commit of the version that an expiry is of; where the log has lost it, what left it standing since. */
function leaseBefore({ before, entry: expiry, isVoid }: Message): Logged | undefined {
  for (let message = isVoid ? undefined : before; message?.entry.version === expiry.version; message = message.before) {
    const { entry } = message;
    if (entry.kind === 'commit' || message.before?.entry.version !== expiry.version) return entry;
  }
  return undefined;
}

/** What an expiry repeats of its lease; of one that the log has lost, only the state. */
function content({ commandId, data, state }: Logged, isStateOnly: boolean): unknown {
  return isStateOnly ? state : { commandId, data, state };
}
