import { setTimeout as sleep } from 'node:timers/promises';
import {
  decidedWildcard,
  delayedCommandWildcard,
  entityWildcard,
  queuedCommandWildcard,
  REPUBLISH,
} from '@meshforge/protocol';
import { JetStreamApiError, jetstreamManager, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';

type NamedStream = Partial<StreamConfig> & { readonly name: string };

export const inventoryLog: NamedStream = {
  name: 'ENTITIES_inventory',
  subjects: [entityWildcard('inventory')],
  allow_direct: true,
  republish: { ...REPUBLISH },
};

export const lockLog: NamedStream = {
  name: 'ENTITIES_lock',
  subjects: [entityWildcard('sys_lock_manager')],
  allow_direct: true,
  allow_msg_schedules: true,
  allow_rollup_hdrs: true,
  republish: { ...REPUBLISH },
};

/** Durable commands to an agent, now and for later. */
const commandsTo = (
  token: 'inventory' | 'lock',
): NamedStream & { allow_msg_schedules: boolean; allow_msg_ttl: boolean } => ({
  name: `COMMANDS_${token}`,
  subjects: [queuedCommandWildcard, delayedCommandWildcard, decidedWildcard].map((wildcardOf) => {
    return wildcardOf(token === 'lock' ? 'sys_lock_manager' : token);
  }),
  retention: 'workqueue',
  allow_msg_schedules: true,
  allow_rollup_hdrs: true,
  allow_msg_ttl: true,
});

export const deadLetters: NamedStream = { name: 'DEAD_LETTERS', subjects: ['dead.*.*'] };

export const signals: NamedStream = {
  name: 'SIGNALS',
  subjects: ['evt.*.conflict', 'evt.*.rejected', 'evt.*.denied'],
  max_age: 7 * 24 * 3600 * 1e9,
};

/** Makes the streams as the agents do: each its own, and whoever comes first the audit trail and the dead letters. */
export async function makeStreams(inventory: NatsConnection, lockManager: NatsConnection, replicas = 1): Promise<void> {
  const asInventory = await jetstreamManager(inventory);
  const asLockManager = await jetstreamManager(lockManager);
  await addStream(asInventory, { ...inventoryLog, num_replicas: replicas });
  await addStream(asLockManager, { ...lockLog, num_replicas: replicas });
  await addStream(asInventory, { ...commandsTo('inventory'), num_replicas: replicas });
  await addStream(asLockManager, { ...commandsTo('lock'), num_replicas: replicas });
  await addStream(asInventory, { ...signals, num_replicas: replicas });
  await addStream(asLockManager, { ...deadLetters, num_replicas: replicas });
}

/** Said while a cluster's leader has not heard yet how much room another member has. */
const noSuitablePeers = 10005;

async function addStream(manager: JetStreamManager, settings: NamedStream): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await manager.streams.add(settings);
      return;
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === noSuitablePeers) || tries >= 200) throw error;
      await sleep(100);
    }
  }
}

export interface Commit {
  readonly subject: string;
  readonly body: string;
  /** The sequence of the entity's last message, 0 for none. */
  readonly expected: number;
  readonly extraHeaders?: Readonly<Record<string, string>>;
}

/** What the server says to a commit: its sequence, or why not. */
export interface CommitAnswer {
  readonly seq?: number;
  readonly error?: { readonly err_code: number; readonly description: string };
}

/** One publish with compare-and-set, as the runtime does it. */
export async function commit(
  connection: NatsConnection,
  { subject, body, expected, extraHeaders }: Commit,
): Promise<CommitAnswer> {
  const guarded = headers();
  guarded.set('Nats-Expected-Last-Subject-Sequence', String(expected));
  guarded.set('Nats-Expected-Last-Subject-Sequence-Subject', `${subject.split('.', 3).join('.')}.>`);
  for (const [name, value] of Object.entries(extraHeaders ?? {})) guarded.set(name, value);
  return (await connection.request(subject, body, { headers: guarded, timeout: 5_000 })).json<CommitAnswer>();
}

/** Names and sizes of the streams: equal before and after means that nothing was written, purged, made or removed. */
export async function contents(operator: NatsConnection): Promise<Record<string, number>> {
  const manager = await jetstreamManager(operator);
  const streams = await manager.streams.list().next();
  return Object.fromEntries(streams.map(({ config, state }) => [config.name, state.messages]));
}
