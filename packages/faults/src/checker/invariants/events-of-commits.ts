/** I6: an event that names a sequence is the commit at that sequence, word for word. Repeats and losses are allowed. */
import { SIGNAL_EVENTS } from '@meshforge/protocol';
import type { Heard, Logged } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { lastToken } from '../records.ts';
import { sameJson } from '../same-json.ts';

export const eventsOfCommits: Invariant = {
  name: 'I6',
  create: ({ breach, ledger }) => {
    /** Heard before the log had their commits, by agent and sequence; repeats are left out. */
    const early = new Map<string, Heard[]>();
    const compare = (heard: Heard, entry: Logged): void => {
      const wrong = differenceBetween(heard, entry);
      if (wrong !== undefined) {
        breach(`the event at sequence ${entry.sequence} of ${entry.agent} has another ${wrong} than the commit there`, [
          entry,
          heard,
        ]);
      }
    };
    return {
      onLogged({ entry }) {
        const place = `${entry.agent} ${entry.sequence}`;
        for (const heard of early.get(place) ?? []) compare(heard, entry);
        early.delete(place);
      },

      onHeard(heard) {
        const { agent, sequence } = heard;
        if (sequence === undefined) {
          if (isSignal(heard) || isNotice(heard)) return;
          breach(`an event ${heard.event} of ${agent} names no sequence: no commit is behind it`, [heard]);
          return;
        }
        const message = ledger.messageAt(agent, sequence);
        if (message !== undefined) {
          compare(heard, message.entry);
          return;
        }
        const place = `${agent} ${sequence}`;
        const others = early.get(place) ?? [];
        if (!others.some((other) => sameEvent(other, heard))) early.set(place, [...others, heard]);
      },

      onTaken({ agent, what }) {
        for (const place of early.keys()) if (what === 'tail' && place.startsWith(`${agent} `)) early.delete(place);
      },

      finish() {
        for (const heard of [...early.values()].flat()) {
          const { agent, payload, sequence } = heard;
          const last = ledger.lastOf(agent)?.entry;
          const rolledUpBy = ledger.rolledUpBy(
            agent,
            String(payload['entity_id']),
            lastToken(heard.event),
            Number(payload['entity_version']),
          );
          if (rolledUpBy !== undefined && (sequence ?? 0) < rolledUpBy.entry.sequence) continue;
          breach(`an event ${heard.event} tells of sequence ${sequence} of ${agent}, where the log has no commit`, [
            last,
            heard,
          ]);
        }
      },
    };
  },
};

/** Whether an agent says it itself, of a command that changed nothing. */
export function isSignal(heard: Heard): boolean {
  return (SIGNAL_EVENTS as readonly string[]).includes(lastToken(heard.event));
}

/** Whether an agent says it beside its commits. */
export function isNotice({ agent, event }: Heard): boolean {
  return agent === 'lock' && lastToken(event) === 'lost';
}

function differenceBetween(heard: Heard, entry: Logged): string | undefined {
  const { payload } = heard;
  if (lastToken(heard.event) !== entry.event) return 'name';
  if (payload['entity_id'] !== entry.entityId) return 'entity';
  if (payload['entity_version'] !== entry.version) return 'version';
  if (heard.commandId !== entry.commandId) return 'command';
  if (!sameJson(payload['state'], entry.state)) return 'state';
  return sameJson(payload['data'], entry.data) ? undefined : 'data';
}

function sameEvent(one: Heard, other: Heard): boolean {
  return (
    one.commandId === other.commandId &&
    lastToken(one.event) === lastToken(other.event) &&
    sameJson(one.payload, other.payload)
  );
}
