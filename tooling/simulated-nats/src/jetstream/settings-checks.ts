/** What the server says of settings that it does not take. */
import { doCollide, isSubset } from '../subjects.ts';
import { filtersOf, type ConsumerSettings, type StreamSettings } from './config.ts';
import type { Consumer } from './consumer.ts';
import { API_ERRORS, consumerCreateFailed, invalidConfig, type ApiError } from './errors.ts';
import type { Stream } from './stream.ts';

/** @param taken the subjects of other streams */
export function wrongStream(settings: StreamSettings, taken: readonly string[]): ApiError | undefined {
  if (settings.allow_msg_schedules === true && settings.discard === 'new') {
    return invalidConfig('message schedules can not be enabled with discard new policy');
  }
  if (settings.allow_rollup_hdrs && settings.deny_purge) return invalidConfig('roll-ups require the purge permission');
  if (settings.subjects.some((subject) => taken.some((other) => doCollide(subject, other)))) {
    return API_ERRORS.subjectsOverlap;
  }
  return undefined;
}

export function wrongStreamUpdate(old: StreamSettings, settings: StreamSettings): ApiError | undefined {
  const refuse = (what: string): ApiError => invalidConfig(`stream configuration update can not ${what}`);
  if (settings.storage !== old.storage) return refuse('change storage type');
  const isWorkQueue = settings.retention === 'workqueue' || old.retention === 'workqueue';
  if (settings.retention !== old.retention && isWorkQueue) {
    return refuse('change retention policy to/from workqueue');
  }
  if (old.deny_delete && !settings.deny_delete) return refuse('cancel deny message deletes');
  if (old.deny_purge && !settings.deny_purge) return refuse('cancel deny purge');
  if (old.allow_msg_ttl === true && settings.allow_msg_ttl !== true) {
    return invalidConfig('message TTL status can not be disabled');
  }
  if (old.allow_msg_schedules === true && settings.allow_msg_schedules !== true) {
    return invalidConfig('message schedules can not be disabled');
  }
  return undefined;
}

export function wrongConsumer(
  stream: Stream,
  settings: ConsumerSettings,
  existing: Consumer | undefined,
  action: 'create' | 'update' | '',
): ApiError | undefined {
  const filters = filtersOf(settings);
  const isWorkQueue = stream.settings.retention === 'workqueue';
  if (isWorkQueue && settings.ack_policy === 'none') return API_ERRORS.workQueueNoAck;
  if (settings.filter_subject !== undefined && settings.filter_subjects !== undefined) {
    return API_ERRORS.duplicateFilters;
  }
  const overlaps = filters.some((one, at) =>
    filters.some((other, place) => place !== at && (isSubset(one, other) || isSubset(other, one))),
  );
  if (overlaps) return API_ERRORS.overlappingFilters;
  if (existing !== undefined) {
    if (action === 'create' && !areSame(existing.settings, settings)) return API_ERRORS.consumerExists;
    if (isWorkQueue && isTaken(stream, settings.name, filters)) return API_ERRORS.workQueueNotUnique;
    return wrongConsumerUpdate(existing.settings, settings);
  }
  if (action === 'update') return API_ERRORS.consumerDoesNotExist;
  if (!isWorkQueue) return undefined;
  if (settings.ack_policy !== 'explicit') return API_ERRORS.workQueueNotExplicit;
  if (settings.deliver_policy !== 'all') return API_ERRORS.workQueueNotAll;
  if (stream.consumers.size === 0) return undefined;
  if (filters.length === 0) return API_ERRORS.workQueueMultiple;
  return isTaken(stream, settings.name, filters) ? API_ERRORS.workQueueNotUnique : undefined;
}

/** Whether another consumer of a work queue gets some of the same messages. */
function isTaken(stream: Stream, name: string, filters: readonly string[]): boolean {
  const others = [...stream.consumers.values()].filter((other) => other.name !== name);
  return filters.some((filter) =>
    others.some((other) => other.filters.length === 0 || other.filters.some((each) => doCollide(filter, each))),
  );
}

function wrongConsumerUpdate(old: ConsumerSettings, settings: ConsumerSettings): ApiError | undefined {
  if (areSame(old, settings)) return undefined;
  const fixed: [keyof ConsumerSettings, string][] = [
    ['deliver_policy', 'deliver policy'],
    ['opt_start_seq', 'start sequence'],
    ['opt_start_time', 'start time'],
    ['ack_policy', 'ack policy'],
    ['replay_policy', 'replay policy'],
    ['max_waiting', 'max waiting'],
  ];
  const changed = fixed.find(([key]) => settings[key] !== old[key]);
  return changed === undefined ? undefined : consumerCreateFailed(`${changed[1]} can not be updated`);
}

export function areSame(one: object, other: object): boolean {
  const sorted = (value: object): string =>
    JSON.stringify(
      Object.entries(value)
        .filter(([key, each]) => each !== undefined && key !== 'metadata')
        .sort(([left], [right]) => (left < right ? -1 : 1)),
    );
  return sorted(one) === sorted(other);
}
