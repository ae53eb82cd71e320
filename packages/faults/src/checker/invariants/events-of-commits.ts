/** I6: an event that names a sequence is the commit at that sequence, word for word. Repeats and losses are allowed. */
import { SIGNAL_EVENTS } from '@meshforge/protocol';
import type { Heard, Logged } from '../../history.ts';
import type { Invariant } from '../invariant.ts';
import { sameJson } from '../same-json.ts';

export const eventsOfCommits: Invariant = {
  name: 'I6',
  create: ({ breach, ledger }) => {
    /** Heard before the log had their commits, by agent and sequence; repeats are left out. */
    const early = new Map<string, Map<number, Heard[]>>();
    const earlyOf = (agent: string): Map<number, Heard[]> => {
      const own = early.get(agent) ?? new Map<number, Heard[]>();
      early.set(agent, own);
      return own;
    };
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
        const own = earlyOf(entry.agent);
        for (const heard of own.get(entry.sequence) ?? []) compare(heard, entry);
        own.delete(entry.sequence);
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
        const others = earlyOf(agent).get(sequence) ?? [];
        if (!others.some((other) => sameEvent(other, heard))) earlyOf(agent).set(sequence, [...others, heard]);
      },

      onTaken({ agent, what }) {
        if (what === 'tail') early.delete(agent);
      },

      finish() {
        for (const heard of [...early.values()].flatMap((own) => [...own.values()]).flat()) {
          const { agent, payload, sequence } = heard;
          const last = ledger.lastOf(agent)?.entry;
          const rolledUpBy = ledger.rolledUpBy(
            agent,
            String(payload['entity_id']),
            eventName(heard),
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
  return (SIGNAL_EVENTS as readonly string[]).includes(eventName(heard));
}

/** Whether an agent says it beside its commits. */
export function isNotice({ agent, event }: Heard): boolean {
  return agent === 'lock' && event.slice(event.lastIndexOf('.') + 1) === 'lost';
}

/** Last token, whether or not the whole subject is given. */
function eventName({ event }: Heard): string {
  return event.slice(event.lastIndexOf('.') + 1);
}

function differenceBetween(heard: Heard, entry: Logged): string | undefined {
  const { payload } = heard;
  if (eventName(heard) !== entry.event) return 'name';
  if (payload['entity_id'] !== entry.entityId) return 'entity';
  if (payload['entity_version'] !== entry.version) return 'version';
  if (heard.commandId !== entry.commandId) return 'command';
  if (!sameJson(payload['state'], entry.state)) return 'state';
  return sameJson(payload['data'], entry.data) ? undefined : 'data';
}

function sameEvent(one: Heard, other: Heard): boolean {
  return (
    one.commandId === other.commandId && eventName(one) === eventName(other) && sameJson(one.payload, other.payload)
  );
}
