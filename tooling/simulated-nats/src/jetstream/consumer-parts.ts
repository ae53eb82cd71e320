import type { ConsumerSettings } from './config.ts';
import type { StoredMessage } from './store.ts';
import type { Stream } from './stream.ts';

const NS_PER_MS = 1_000_000;

/** Where a new consumer begins. */
export function startOf({ store }: Stream, settings: ConsumerSettings, filters: readonly string[]): number {
  const { firstSequence, lastSequence } = store;
  const clamp = (sequence: number): number => Math.max(firstSequence, Math.min(sequence, lastSequence + 1));
  switch (settings.deliver_policy) {
    case 'all':
      return firstSequence;
    case 'new':
      return lastSequence + 1;
    case 'last':
      return clamp(Math.max(0, ...(filters.length === 0 ? ['>'] : filters).map((f) => store.last(f)?.sequence ?? 0)));
    case 'by_start_sequence':
      return Math.max(firstSequence, settings.opt_start_seq ?? 1);
    case 'by_start_time': {
      const from = Date.parse(settings.opt_start_time ?? '') * 1_000;
      for (const message of store.all()) if (message.micros >= from) return message.sequence;
      return lastSequence + 1;
    }
    case 'last_per_subject':
      throw new TypeError('not modelled: a consumer of the last message of each subject');
  }
}

/** The bytes of a delivery, as the server counts them. */
export function sizeOf({ data, headers, subject }: StoredMessage, reply: string): number {
  return subject.length + reply.length + (headers?.size ?? 0) + data.length;
}

/** What follows a `-NAK`, in milliseconds; undefined where no delay is asked for. */
export function nakDelay(argument: string): number | undefined {
  if (argument === '') return undefined;
  if (argument.startsWith('{')) return ((JSON.parse(argument) as { delay?: number }).delay ?? 0) / NS_PER_MS;
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)$/.exec(argument) ?? [];
  if (count === undefined) return undefined;
  const ms: Record<string, number> = { ns: 1e-6, us: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  return Number(count) * (ms[unit ?? ''] ?? 0);
}
