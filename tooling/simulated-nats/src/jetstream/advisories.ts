import { jsonBytes } from '../message.ts';
import type { Surroundings } from './surroundings.ts';
import { timeOf } from './times.ts';

/** What the server tells everybody about streams and consumers: the type, and where it is said. */
const KINDS = {
  stream_created: ['stream_action', 'STREAM.CREATED', 'create'],
  stream_updated: ['stream_action', 'STREAM.UPDATED', 'modify'],
  stream_deleted: ['stream_action', 'STREAM.DELETED', 'delete'],
  stream_restore_begun: ['restore_create', 'STREAM.RESTORE_CREATE', undefined],
  stream_restored: ['restore_complete', 'STREAM.RESTORE_COMPLETE', undefined],
  stream_leader: ['stream_leader_elected', 'STREAM.LEADER_ELECTED', undefined],
  consumer_created: ['consumer_action', 'CONSUMER.CREATED', 'create'],
  consumer_deleted: ['consumer_action', 'CONSUMER.DELETED', 'delete'],
  consumer_leader: ['consumer_leader_elected', 'CONSUMER.LEADER_ELECTED', undefined],
  consumer_nak: ['nak', 'CONSUMER.MSG_NAKED', undefined],
  consumer_terminated: ['terminated', 'CONSUMER.MSG_TERMINATED', undefined],
  max_deliver: ['max_deliver', 'CONSUMER.MAX_DELIVERIES', undefined],
  consumer_group_pinned: ['consumer_group_pinned', 'CONSUMER.PINNED', undefined],
  consumer_group_unpinned: ['consumer_group_unpinned', 'CONSUMER.UNPINNED', undefined],
} as const;

export type AdvisoryKind = keyof typeof KINDS;

export function advisory(
  { hasInterest, send, time }: Surroundings,
  kind: AdvisoryKind,
  stream: string,
  consumer?: string,
  details: object = {},
): void {
  const [type, where, action] = KINDS[kind];
  const subject = `$JS.EVENT.ADVISORY.${where}.${stream}${consumer === undefined ? '' : `.${consumer}`}`;
  if (!hasInterest(subject)) return;
  const body = {
    type: `io.nats.jetstream.advisory.v1.${type}`,
    id: `${kind}-${stream}-${time.now}`,
    timestamp: timeOf(time.now),
    stream,
    ...(consumer === undefined ? {} : { consumer }),
    ...(action === undefined ? {} : { action }),
    ...details,
  };
  send({ subject, reply: '', headers: undefined, data: jsonBytes(body) });
}
