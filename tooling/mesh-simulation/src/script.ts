/** A history before it happens: who takes part, what clients do, and what goes wrong, as data. */
import type { AgentName } from './agents.ts';

export interface Cast {
  /** 1, or 3 for a cluster whose streams have three replicas. */
  nodes: 1 | 3;
  stock: number;
  journal: number;
  lock: number;
  /** Processes that follow `stock` and tell `journal`. */
  reactors: number;
  clients: number;
}

/** Something that happens at a moment, in milliseconds from the beginning. */
export type Step = { at: number } & (Deed | Fault);

/** What clients do. */
export type Deed =
  | {
      kind: 'request';
      client: number;
      entity: string;
      by: number;
      /** How far the expected version is off the one that the client has seen; undefined: none is expected. */
      expectsOff: number | undefined;
      /** Name of a lock under which it is sent, if the client holds it. */
      lock: string | undefined;
      /** How long it may be decided, in milliseconds. */
      deadlineMs?: number | undefined;
    }
  | { kind: 'close'; client: number; entity: string }
  /** The same command once more, by this client. @param which counted back from the last one */
  | { kind: 'repeat'; client: number; which: number; isDurable: boolean }
  | {
      kind: 'send';
      client: number;
      entity: string;
      by: number;
      afterMs: number;
      cancelAfterMs: number | undefined;
      deadlineMs?: number | undefined;
    }
  | { kind: 'sendBoom'; client: number; entity: string }
  | { kind: 'update'; client: number; entity: string; by: number }
  | { kind: 'lock'; client: number; lock: string; waitMs: number; ttlMs: number; holdMs: number; writes: boolean }
  /** One command to the lock manager, as any client can send it. */
  | {
      kind: 'lockCommand';
      client: number;
      lock: string;
      action: 'acquire' | 'refresh' | 'release' | 'cancel';
      owner: string;
      ttlMs: number;
      waitMs: number;
      isDurable: boolean;
    }
  | { kind: 'break'; client: number; lock: string }
  | { kind: 'garbage'; client: number; shape: number }
  | { kind: 'read'; client: number; entity: string; what: 'get' | 'list' | 'history' };

/** A process: a replica of an agent, a reactor or a client. */
export interface Target {
  role: AgentName | 'reactor' | 'client';
  at: number;
}

export type StreamName = 'stock' | 'stockQueue' | 'journal' | 'journalQueue' | 'lock' | 'lockQueue' | 'deadLetters';

/** What goes wrong. */
export type Fault =
  | { kind: 'kill'; target: Target; downMs: number; unnoticedMs: number }
  | { kind: 'restart'; target: Target }
  | { kind: 'freeze'; target: Target; ms: number }
  | { kind: 'slow'; target: Target; ms: number; extraMs: number }
  | { kind: 'disconnect'; target: Target; loses: boolean; unnoticedMs: number }
  /** The next messages of a kind, or the answers to them, are lost, doubled or late. */
  | {
      kind: 'disturb';
      target: Target;
      what: Traffic;
      side: 'request' | 'answer';
      how: 'lose' | 'double' | 'delay';
      times: number;
      delayMs: number;
    }
  | { kind: 'stopNode'; node: number; downMs: number }
  | { kind: 'changeLeader'; stream: StreamName; gapMs: number; deposedMs: number }
  | { kind: 'stall'; stream: StreamName; ms: number }
  | { kind: 'lag'; stream: StreamName; node: number; ms: number }
  | { kind: 'holdSchedules'; stream: StreamName; ms: number }
  | { kind: 'changeConsumerLeader'; stream: StreamName; gapMs: number }
  | { kind: 'redeliver'; stream: StreamName }
  | { kind: 'jump'; target: Target; ms: number }
  | Ruin;

/** What takes data away; some promises do not hold over it. */
export type Ruin =
  | { kind: 'deleteStream'; stream: StreamName; recreates: boolean }
  | { kind: 'restoreStream'; stream: StreamName; backupAgoMs: number }
  | { kind: 'deleteConsumer'; stream: StreamName }
  | { kind: 'purgeEntity'; agent: 'stock' | 'lock'; entity: string };

/** Messages by what they are for. */
export type Traffic =
  | 'commit'
  | 'read'
  | 'pull'
  | 'acknowledgement'
  | 'delivery'
  | 'command'
  | 'durable'
  | 'letter'
  | 'delete'
  | 'api';

export interface Script {
  seed: number;
  cast: Cast;
  steps: Step[];
}

const RUINS: ReadonlySet<string> = new Set(['deleteStream', 'restoreStream', 'deleteConsumer', 'purgeEntity']);
const DEEDS: ReadonlySet<string> = new Set([
  'request',
  'close',
  'repeat',
  'send',
  'sendBoom',
  'update',
  'lock',
  'lockCommand',
  'break',
  'garbage',
  'read',
]);

export function isDeed(step: Step): step is Step & Deed {
  return DEEDS.has(step.kind);
}

export function isRuin(step: Step): step is Step & Ruin {
  return RUINS.has(step.kind);
}
