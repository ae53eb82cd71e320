/**
 * A refusal says how the entity stands: so it must have stood so at some moment between the sending of the command and the
 * answer, never only before.
 */
import { HEADERS } from '@meshforge/protocol';
import type { CommandRecord, HistoryRecord, Told } from '../records.ts';
import type { Logs, LogMessage } from './log-view.ts';

type Say = (breach: string) => void;

/** An entity between two messages of its log. */
interface Moment {
  from: number;
  /** 0 where no entity is there. */
  version: number;
  state: Record<string, unknown> | null;
  /** Of a lock. */
  owner: string | undefined;
  hasWaiters: boolean;
  /** Highest fencing token of each lock. */
  tokens: ReadonlyMap<string, number>;
}

const NOTHING: Moment = {
  from: 0,
  version: 0,
  state: null,
  owner: undefined,
  hasWaiters: false,
  tokens: new Map<string, number>(),
};

export function checkRefusals(record: HistoryRecord, logs: Logs, say: Say): void {
  const byId = new Map(record.commands.map((command) => [command.id, command]));
  const lives = new Map(
    logs.entities.map(({ agent, entity, messages }) => [`${agent} ${entity}`, lifeOf(messages, byId)]),
  );
  for (const command of record.commands) {
    const life = lives.get(`${command.agent} ${command.entity}`) ?? [NOTHING];
    for (const told of command.told) {
      const isSo = CLAIMS[claimOf(told)];
      if (isSo === undefined || command.isUpdate) continue;
      const moments = momentsOf(life, command.sentAt, told.at);
      if (moments.some((moment) => isSo(moment, command))) continue;
      say(
        `${command.id} was refused as ${told.kind} ${told.code} at ${told.at}, which it never was from ${command.sentAt} on`,
      );
    }
  }
}

const CLAIMS: Readonly<Record<string, (moment: Moment, command: CommandRecord) => boolean>> = {
  conflict: ({ version }, { expectedVersion }) => version !== expectedVersion,
  negative: ({ state }, { data }) => Number(state?.['total'] ?? 0) + Number(data['by']) < 0,
  not_found: ({ state }) => state === null,
  stale_token: ({ tokens }, { lease }) => (tokens.get(lease?.resource ?? '') ?? 0) > (lease?.fencingToken ?? 0),
  held: ({ hasWaiters, owner }) => owner !== undefined || hasWaiters,
  not_held: ({ owner }) => owner === undefined,
  not_holder: ({ owner }, { data }) => owner !== undefined && owner !== data['owner_id'],
};

function claimOf({ code, kind }: Told): string {
  return kind === 'conflict' ? 'conflict' : kind === 'rejected' || kind === 'denied' ? code : '';
}

function momentsOf(life: readonly Moment[], from: number, until: number): Moment[] {
  return life.filter((moment, at) => moment.from <= until && (life[at + 1]?.from ?? Infinity) >= from);
}

function lifeOf(messages: readonly LogMessage[], byId: ReadonlyMap<string, CommandRecord>): Moment[] {
  const life: Moment[] = [NOTHING];
  const tokens = new Map<string, number>();
  let highest = 0;
  for (const { agent, commandId, kind, state, stored, version } of messages) {
    if (kind === 'expiry' && version !== highest) continue;
    const last = life.at(-1) as Moment;
    // The server writes an expiry with the notes of the commit that set the lease.
    const hasWaiters = kind === 'expiry' ? last.hasWaiters : stored.headers.has(HEADERS.notes);
    if (kind === 'record' || kind === 'unchanged') {
      life.push({ ...last, from: stored.seenAt, hasWaiters });
      continue;
    }
    highest = version;
    const lease = byId.get(commandId)?.lease;
    if (lease !== undefined) tokens.set(lease.resource, Math.max(tokens.get(lease.resource) ?? 0, lease.fencingToken));
    const owner = agent === 'lock' && kind === 'commit' ? (state as { owner_id: string | null }).owner_id : null;
    life.push({
      from: stored.seenAt,
      version: state === null ? 0 : version,
      state: state as Moment['state'],
      owner: owner ?? undefined,
      hasWaiters,
      tokens: new Map(tokens),
    });
  }
  return life;
}
