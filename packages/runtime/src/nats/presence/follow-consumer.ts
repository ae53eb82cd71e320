import { MeshError, type MeshErrorCode } from '../../errors.ts';
import { lackOf, type ConsumerSettings } from '../consumers.ts';
import type { Asset, Report } from './asset.ts';
import type { Followed } from './followed-asset.ts';
import type { Presence } from './presence.ts';

export interface FollowConsumerOptions extends Pick<Asset, 'stream' | 'onDoubt' | 'onReplaced'> {
  settings: ConsumerSettings;
  /** Gives the consumer back what others took away. */
  mend: () => Promise<void>;
  onError: (error: MeshError) => void;
}

/** What of a consumer's fate is an error for whoever relies on it. */
const CODES: Partial<Record<Report['kind'], MeshErrorCode>> = {
  gone: 'gone',
  changed: 'gone',
  unsuitable: 'stream_mismatch',
  silent: 'unavailable',
};

/** Follows the consumer by which a subscription or a reaction gets its events. It is never created again: its place is data. */
export function followConsumer(presence: Presence, options: FollowConsumerOptions): Followed {
  const { onError, settings, ...asset } = options;
  const { durable_name: consumer } = settings;
  return presence.follow({
    ...asset,
    consumer,
    misfit: (config) => lackOf(settings, config),
    onReport: ({ kind, text }) => {
      const code = CODES[kind];
      const details = { stream: asset.stream, consumer };
      if (code !== undefined) onError(new MeshError({ code, message: text, details }));
    },
  });
}
