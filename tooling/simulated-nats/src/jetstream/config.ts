/** Settings of streams and consumers as the API takes and shows them. */

export interface StreamSettings {
  name: string;
  description?: string;
  subjects: string[];
  retention: 'limits' | 'workqueue' | 'interest';
  max_consumers: number;
  max_msgs: number;
  max_bytes: number;
  max_age: number;
  max_msgs_per_subject: number;
  max_msg_size: number;
  discard: 'old' | 'new';
  storage: 'file' | 'memory';
  num_replicas: number;
  duplicate_window: number;
  compression: string;
  allow_direct: boolean;
  mirror_direct: boolean;
  sealed: boolean;
  deny_delete: boolean;
  deny_purge: boolean;
  allow_rollup_hdrs: boolean;
  consumer_limits: object;
  first_seq?: number;
  allow_msg_ttl?: boolean;
  allow_msg_schedules?: boolean;
  allow_atomic?: boolean;
  republish?: { src: string; dest: string; headers_only?: boolean };
  metadata?: Record<string, string>;
}

const SECOND_NS = 1_000_000_000;

/** With everything filled in that a client may leave out. */
export function streamSettings(wanted: Partial<StreamSettings> & { name: string }): StreamSettings {
  const filled: StreamSettings = {
    subjects: [wanted.name],
    retention: 'limits',
    max_consumers: -1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    max_msg_size: -1,
    discard: 'old',
    storage: 'file',
    num_replicas: 1,
    duplicate_window: 120 * SECOND_NS,
    compression: 'none',
    allow_direct: false,
    mirror_direct: false,
    sealed: false,
    deny_delete: false,
    deny_purge: false,
    allow_rollup_hdrs: false,
    consumer_limits: {},
    ...withoutUndefined(wanted),
  };
  if (filled.max_msgs_per_subject === 0) filled.max_msgs_per_subject = -1;
  if (filled.allow_msg_schedules === true) filled.allow_rollup_hdrs = true;
  for (const key of ['allow_msg_ttl', 'allow_msg_schedules', 'allow_atomic'] as const) {
    if (filled[key] === false) delete filled[key];
  }
  if (filled.first_seq === 0) delete filled.first_seq;
  return filled;
}

export interface ConsumerSettings {
  name: string;
  durable_name?: string;
  description?: string;
  deliver_policy: 'all' | 'last' | 'new' | 'by_start_sequence' | 'by_start_time' | 'last_per_subject';
  opt_start_seq?: number;
  opt_start_time?: string;
  ack_policy: 'none' | 'all' | 'explicit';
  ack_wait?: number;
  max_deliver: number;
  backoff?: number[];
  filter_subject?: string;
  filter_subjects?: string[];
  replay_policy: 'instant' | 'original';
  max_waiting: number;
  max_ack_pending: number;
  inactive_threshold?: number;
  num_replicas: number;
  priority_groups?: string[];
  priority_policy?: 'none' | 'overflow' | 'pinned_client' | 'prioritized';
  priority_timeout?: number;
  metadata?: Record<string, string>;
}

/** With everything filled in that a client may leave out. */
export function consumerSettings(wanted: Partial<ConsumerSettings>, name: string): ConsumerSettings {
  const { backoff } = wanted;
  const filled: ConsumerSettings = {
    deliver_policy: 'all',
    ack_policy: 'none',
    replay_policy: 'instant',
    max_waiting: 512,
    num_replicas: 0,
    ...withoutUndefined(wanted),
    name,
    max_deliver: wanted.max_deliver === undefined || wanted.max_deliver === 0 ? -1 : wanted.max_deliver,
    max_ack_pending:
      wanted.max_ack_pending ?? (wanted.ack_policy === undefined || wanted.ack_policy === 'none' ? 0 : 1_000),
  };
  const wait = backoff?.[0] ?? wanted.ack_wait ?? (filled.ack_policy === 'none' ? undefined : 30 * SECOND_NS);
  if (wait !== undefined) filled.ack_wait = wait;
  if (filled.priority_policy === 'none') delete filled.priority_policy;
  if (filled.priority_policy === 'pinned_client') filled.priority_timeout ??= 120 * SECOND_NS;
  if (filled.filter_subject === '') delete filled.filter_subject;
  if (filled.filter_subjects?.length === 0) delete filled.filter_subjects;
  return filled;
}

/** The filters of a consumer; empty where it delivers everything. */
export function filtersOf({ filter_subject: one, filter_subjects: several = [] }: Partial<ConsumerSettings>): string[] {
  return one === undefined || one === '' ? several : [one, ...several];
}

function withoutUndefined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}
