import type { Found } from './look.ts';

/** A stream, or a durable consumer of one, that a process relies on. */
export interface Asset {
  readonly stream: string;
  /** Undefined: the stream itself. */
  readonly consumer?: string;
  /** Whether its messages stay for good, so that an empty stream is one that was purged. */
  readonly isLog?: boolean;
  /** What is wrong with its settings; undefined: they suit. */
  readonly misfit?: (config: object) => string | undefined;
  /** Corrects such settings, where that takes nothing away from anybody. */
  readonly mend?: () => Promise<void>;
  /**
   * Creates it again. Only for what holds no data: anything else must not be replaced by something empty, or by something
   * that begins elsewhere.
   */
  readonly recreate?: () => Promise<void>;
  /** What is remembered of it may not hold. Called rather too often. */
  readonly onDoubt?: (doubt: Doubt) => void;
  /** It is gone, or another one stands in its place, or it has lost messages. */
  readonly onReplaced?: () => void;
  /** Default: that of the presence. */
  readonly onReport?: (report: Report) => void;
}

export type Doubt =
  /** It may be another one by now, or gone. */
  | 'identity'
  /** Another server leads it, which may have less than the former. */
  | 'leader';

/** What happened to a stream or consumer, and what to do. */
export interface Report {
  kind: 'gone' | 'changed' | 'unsuitable' | 'silent' | 'recreated' | 'recovered' | 'replicas';
  level: 'info' | 'warn' | 'error';
  stream: string;
  consumer?: string;
  text: string;
}

/** What distinguishes a stream or consumer from what it was. */
export type Change =
  /** It was deleted, and created or restored. */
  | 'replaced'
  /** Its last sequence is lower: it has lost messages at its end. */
  | 'went_back'
  /** All messages of a log are gone. */
  | 'purged'
  /** Another server answers for it, maybe with less than the former. */
  | 'led_by_another';

/** Undefined: nothing that matters to what is remembered of it. */
export function changeOf(before: Found, now: Found, isLog: boolean): Change | undefined {
  if (before.created !== now.created) return 'replaced';
  if (before.leader !== now.leader) return 'led_by_another';
  if (now.lastSequence < before.lastSequence) return 'went_back';
  if (isLog && now.messages === 0 && before.messages > 0) return 'purged';
  return undefined;
}

export function nameOf({ consumer, stream }: Pick<Asset, 'consumer' | 'stream'>): string {
  return consumer === undefined ? `stream ${stream}` : `consumer ${consumer} of stream ${stream}`;
}

/** For people: why it does not serve while it is gone. */
export function whyGone(asset: Asset, missing: 'stream' | 'consumer'): string {
  const { consumer, stream } = asset;
  if (consumer === undefined) {
    return (
      `stream ${stream} is gone: it was deleted. This process does not create it again, because it would be empty. ` +
      'Restore it from a backup; or start a process anew, which begins with an empty stream'
    );
  }
  if (missing === 'stream') {
    return (
      `stream ${stream} is gone, and its consumer ${consumer} with it. This process creates neither. ` +
      'Restore the stream from a backup with its consumers'
    );
  }
  return (
    `consumer ${consumer} of stream ${stream} is gone: it was deleted. This process does not create it again, because ` +
    'events would be skipped or repeated. Create it where it is to go on; or start the process anew, which begins as its options say'
  );
}

/** For people: what happened to it. */
export function describeChange(asset: Asset, change: Change, before: Found, now: Found): string {
  const name = nameOf(asset);
  const isStream = asset.consumer === undefined;
  const contents = isStream
    ? ` It has ${now.messages} messages up to sequence ${now.lastSequence}; before, ${before.messages} up to ${before.lastSequence}.`
    : '';
  const forgotten = ' What this process remembered of it is forgotten.';
  switch (change) {
    case 'replaced':
      return isStream
        ? `${name} was deleted, and recreated or restored at ${now.created}.${contents}${forgotten}`
        : `${name} was deleted, and recreated or restored at ${now.created}: events may be skipped or repeated`;
    case 'went_back':
      return `${name} has lost messages at its end.${contents}${forgotten}`;
    case 'purged':
      return `${name} was purged.${contents}${forgotten}`;
    case 'led_by_another':
      return `${name} is led by ${now.leader}`;
  }
}
